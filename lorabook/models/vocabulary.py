"""The shipped tokenizer: byte-level BPE, so any text can be encoded and nothing is ever unknown.

Source: Sennrich et al. 2016 (arXiv 1508.07909) for BPE; Radford et al. 2019 (GPT-2) for the bytes.
"""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


class Vocabulary:
    """A tokenizer with two verbs: `encode` text to numbers, `decode` numbers to text."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        # The batch form leaves out the offsets that nobody asks for: half the time on a whole book.
        return self.tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()


def train_vocabulary(text: str, size: int, path: Path) -> Vocabulary:
    """Learn `size` byte-level BPE tokens from a text and keep them in a file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    tokenizer.save(str(path))
    return Vocabulary(tokenizer)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a tokenizer that `train_vocabulary` kept."""
    return Vocabulary(Tokenizer.from_file(str(path)))
