"""The loss over a chat: whose tokens it is the mean of, and what a mask leaves out."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.tasks.chat import Row, padded
from lorabook.tasks.facts import IGNORED
from lorabook.tasks.text import language_loss


class MeanOfThePast(nn.Module):
    """The smallest causal model: the mean of all embeddings so far, times a matrix."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.vocab = case.d_out + 3
        self.embedding = nn.Parameter(case.randn(self.vocab, case.d_in, stream="embedding"))
        self.head = nn.Parameter(case.randn(self.vocab, case.d_in, stream="head"))

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(1, tokens.shape[1] + 1, dtype=torch.float64)
        return self.embedding[tokens].cumsum(1) / places[:, None] @ self.head.T


def a_chat(case: Case, prompt: int, answer: int, stream: str) -> Row:
    """Return a chat of so many tokens, of which the last `answer` are trained."""
    tokens = torch.randint(case.d_out + 3, (prompt + answer,), generator=case.generator(stream))
    targets = tokens[1:].clone()
    targets[: prompt - 1] = IGNORED
    return tokens[:-1], targets


def two_chats(case: Case) -> list[Row]:
    """Return one chat with a long answer, and one with a short answer."""
    return [a_chat(case, 4, 6, "long"), a_chat(case, 3, 1 + case.r // 3, "short")]


def loss(case: Case, rows: list[Row]) -> Tensor:
    """Return the loss of chats, padded into one batch."""
    return language_loss(MeanOfThePast(case), padded(rows))


def trained(row: Row) -> int:
    """Return how many tokens of a chat are trained."""
    return int((row[1] != IGNORED).sum())


# language_loss computes in float32.
@claim(
    statement=r"The loss of a batch is the mean over its trained *tokens*: $L=\sum_i n_iL_i\,/\sum_i n_i$, however it "
    r"is padded.",
    source="cross-entropy with ignored targets, under causal attention",
    tol=1e-6,
)
def a_batch_is_the_mean_of_its_tokens(case: Case):
    rows = two_chats(case)
    weighted = sum(trained(row) * loss(case, [row]) for row in rows)
    return loss(case, rows).double(), weighted.double() / sum(map(trained, rows))


@misconception(
    of=a_batch_is_the_mean_of_its_tokens,
    statement=r"Accumulating $k$ batches of one chat is one batch of $k$ chats: $L=\frac1k\sum_i L_i$.",
    source="gradient accumulation as it is often written: a token of a short answer then weighs more than one of a "
    "long answer",
)
def false_accumulating_is_a_larger_batch(case: Case):
    rows = two_chats(case)
    return loss(case, rows).double(), sum(loss(case, [row]) for row in rows).double() / len(rows)


def parted(case: Case) -> tuple[Row, Row, Row]:
    """Return one chat three times: all of it trained, its question alone, its answer alone."""
    tokens, answer = a_chat(case, 5, 3, "chat")
    whole = torch.cat([tokens[1:], answer[-1:]])
    question = torch.where(answer == IGNORED, whole, IGNORED)
    return (tokens, whole), (tokens, question), (tokens, answer)


@claim(
    statement=r"Trained on every token, a chat of $n$ tokens spends $\frac{n_q}n$ of its loss on the question: "
    r"$nL=n_qL_q+n_aL_a$.",
    source="the chain rule of probability",
    tol=1e-6,
)
def a_loss_is_the_questions_and_the_answers(case: Case):
    whole, *pieces = parted(case)
    each = [trained(row) * loss(case, [row]) for row in pieces]
    return trained(whole) * loss(case, [whole]).double(), sum(each).double()


@misconception(
    of=a_loss_is_the_questions_and_the_answers,
    statement=r"A masked question does not take part: $L_a$ is the loss of the answer without it.",
    source="a mask leaves targets out, not inputs: every answer is predicted from the question",
)
def false_masking_is_cutting_off(case: Case):
    whole, question, (tokens, answer) = parted(case)
    n = trained((tokens, answer))
    alone = n * loss(case, [(tokens[-n:], answer[-n:])])
    return trained(whole) * loss(case, [whole]).double(), (trained(question) * loss(case, [question]) + alone).double()
