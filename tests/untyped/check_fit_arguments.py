"""What `fit` is given by people who have read no docstring: refused by name and with a next step, and nothing moves."""

import itertools
import math
import re
from collections import UserDict

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import lorabook as lb

IDS, LABELS = torch.randint(2, 10, (2, 8, 6), generator=torch.Generator().manual_seed(1))
PAIR = (IDS, LABELS)


def world() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 10))
    lb.inject(model, lb.LoRA(r=2), targets="1")
    return model


def state(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def refused(error: type[Exception], message: str, batches: object = None, **more) -> None:
    model = world()
    before = state(model)
    batches = itertools.repeat(PAIR) if batches is None else batches
    with pytest.raises(error, match=message) as told:
        lb.fit(model, batches, **{"steps": 3, "lr": 1e-2, "progress": False} | more)
    assert type(told.value) is error
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


MASK = torch.ones_like(IDS)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ((IDS, MASK, LABELS), r"a tuple of 3 \(Tensor, Tensor, Tensor\) at step 0"),
        ([IDS, MASK, MASK, LABELS], r"a list of 4"),
        ((IDS,), r"a tuple of 1 \(Tensor\)"),
        ((), r"a tuple of 0"),
        ({"input_ids": IDS, "labels": LABELS}, r"a dict with the keys input_ids, labels .*lb.transformers_pairs"),
        (UserDict(x=IDS, y=LABELS), r"a UserDict with the keys x, y"),
        ({}, r"a dict with the keys \(none\)"),
        (transformers.BatchEncoding({"input_ids": IDS}), r"a BatchEncoding with the keys input_ids"),
        (IDS, r"a tensor of shape \(8, 6\).*itertools.repeat"),
        ("text", r"str 'text'"),
        (7, r"int 7"),
        ((IDS.numpy(), LABELS.numpy()), r"a tuple of 2 \(ndarray, ndarray\).*torch.as_tensor"),
        ((IDS.tolist(), LABELS), r"a tuple of 2 \(list, Tensor\)"),
        ((IDS, None), r"a tuple of 2 \(Tensor, NoneType\)"),
        (({"ids": IDS.tolist()}, LABELS), r"a tuple of 2 \(dict, Tensor\)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("own", [False, True], ids=["cross_entropy", "own loss"])
def test_what_is_no_pair(batch, said, own):
    more = {"loss": lambda model, batch: model(batch[0]).mean()} if own else {}
    refused(TypeError, said, itertools.repeat(batch), **more)


@pytest.mark.parametrize("batches", [7, lb, nn.Linear(2, 2)])
def test_batches_that_cannot_be_gone_through(batches):
    refused(TypeError, "which cannot be gone through", batches)


def test_one_dictionary_in_place_of_batches():
    refused(TypeError, "str 'x'.*one dictionary", {"x": IDS, "y": LABELS})


@pytest.mark.parametrize("clip", [0, 0.0, -1.0, math.nan, math.inf, True, "1", torch.tensor([1.0, 2.0])])
def test_clip(clip):
    refused(ValueError, r"clip is .*must be a finite number > 0; None does not clip", clip=clip)


@pytest.mark.parametrize("lr", [0, -1e-3, math.nan, math.inf, "1e-3", None, True])
def test_lr(lr):
    refused(ValueError, r"lr is .*must be a finite number > 0", lr=lr)


@pytest.mark.parametrize("what", ["steps", "accumulate"])
@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, math.nan, True, "3", None])
def test_whole_numbers(what, value):
    refused(ValueError, rf"{what} is .*must be a whole number", **{what: value})


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf])
def test_schedule(factor):
    refused(ValueError, r"schedule\(0, 3\) is .*finite number ≥ 0", schedule=lambda step, steps: factor)


@pytest.mark.parametrize("autocast", [True, "bfloat16", torch.int8, 16])
def test_autocast(autocast):
    refused(ValueError, r"autocast is .*torch.bfloat16", autocast=autocast)


@pytest.mark.parametrize("value", [torch.ones(3, requires_grad=True), 1.5, None, {"loss": 1}])
def test_a_loss_that_is_no_number(value):
    refused(TypeError, r"the loss of step 0 has come out as", loss=lambda model, batch: value)


IGNORED = (IDS, torch.full_like(LABELS, -100))


def custom(model: nn.Module, batch) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


@pytest.mark.parametrize("more", [{}, {"loss": custom}, {"accumulate": 2}, {"autocast": torch.bfloat16}], ids=str)
def test_nothing_to_learn(more):
    refused(
        ValueError,
        r"all targets of the batch at step 0 are −100.*leave such batches out",
        itertools.repeat(IGNORED),
        **more,
    )
    refused(ValueError, r"the batch at step 0 is empty: its inputs have shape \(0, 6\)",
            itertools.repeat((IDS[:0], LABELS[:0])), **more)  # fmt: skip


def test_one_batch_of_several_with_nothing_to_learn():
    refused(ValueError, "all targets of the batch at step 0", [PAIR, IGNORED, PAIR], steps=1, accumulate=3)


def test_a_batch_of_which_some_targets_count_is_learnt():
    some = LABELS.clone()
    some[:, 1:] = -100
    assert lb.fit(world(), [(IDS, some)], steps=1, lr=1e-2, progress=False).steps == 1


def test_a_model_that_fails_on_a_batch_of_nothing_is_told_as_that():
    model = world()

    def loss(model, batch):
        return model(batch[0])[0].mean()

    with pytest.raises(ValueError, match=r"the batch at step 0 is empty") as told:
        lb.fit(model, [(IDS[:0], LABELS[:0])], steps=1, lr=1e-2, loss=loss, progress=False)
    assert isinstance(told.value.__context__, IndexError)


def test_a_loss_that_knows_what_to_do_with_nothing_may():
    empty = (IDS[:0], LABELS[:0])
    history = lb.fit(world(), [empty], steps=1, lr=1e-2, loss=lambda m, b: m[1].update.B.sum(), progress=False)
    assert history.losses == [0.0]


def test_a_pair_may_be_a_list_and_numbers_may_be_numpys():
    lb.fit(world(), [[IDS, LABELS]], steps=1, lr=np.float32(1e-2), clip=np.float64(1.0), progress=False)


def test_a_checkpoint_may_be_named_by_text(tmp_path):
    for _ in range(2):
        assert lb.fit(world(), [PAIR], steps=1, lr=1e-2, checkpoint=str(tmp_path / "run"), progress=False).steps == 1


def causal() -> nn.Module:
    torch.manual_seed(4)
    config = transformers.LlamaConfig(vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                                      num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    lb.inject(model, lb.LoRA(r=2), "q_proj|v_proj")
    return model


def encoder() -> nn.Module:
    torch.manual_seed(4)
    config = transformers.BertConfig(vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                                     num_attention_heads=4, num_labels=3)  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    lb.inject(model, lb.LoRA(r=2), "query|value")
    return model


def seq2seq() -> nn.Module:
    torch.manual_seed(4)
    config = transformers.T5Config(vocab_size=11, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4,
                                   decoder_start_token_id=0, pad_token_id=0)  # fmt: skip
    model = transformers.T5ForConditionalGeneration(config)
    lb.inject(model, lb.LoRA(r=2), r"\.(q|v)$")
    return model


@pytest.mark.parametrize(
    ("build", "labels"),
    [(causal, IDS), (encoder, IDS[:, 0] % 3), (seq2seq, IDS)],
    ids=["causal", "classes", "seq2seq"],
)
@pytest.mark.parametrize("encoding", [dict, transformers.BatchEncoding])
def test_dictionaries_of_transformers(build, labels, encoding):
    batch = encoding({"input_ids": IDS, "attention_mask": MASK, "labels": labels})
    model, twin = build(), build()
    pairs = lb.transformers_pairs(itertools.repeat(batch))
    history = lb.fit(model, pairs, steps=4, lr=1e-2, loss=lb.transformers_loss, progress=False)
    optimizer = torch.optim.AdamW([p for p in twin.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    twin.train()
    torch.manual_seed(0)
    first = None
    for _ in range(4):
        loss = twin(**batch).loss
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if build is causal:  # no dropout: the same run to the last digit
        assert history.losses[0] == pytest.approx(first, rel=1e-6)
        for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert all(math.isfinite(value) for value in history.losses)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"input_ids": IDS}, r"the keys input_ids and no 'labels'.*batch\['input_ids'\]"),
        ({"input_ids": IDS, "labels": LABELS, "text": ["a"]}, r"'text' of a batch is a list"),
        (PAIR, "takes dictionaries of tensors"),
    ],
)
def test_dictionaries_that_lack_something(batch, said):
    with pytest.raises((TypeError, ValueError), match=said):
        lb.fit(causal(), lb.transformers_pairs([batch]), steps=1, lr=1e-2, loss=lb.transformers_loss, progress=False)


def test_the_default_loss_says_what_a_model_of_transformers_needs():
    for batches in ([PAIR], lb.transformers_pairs([{"input_ids": IDS, "labels": LABELS}])):
        with pytest.raises(TypeError, match=re.escape("give fit loss=lb.transformers_loss")):
            lb.fit(causal(), batches, steps=1, lr=1e-2, progress=False)


def test_a_model_of_transformers_without_a_head():
    config = transformers.BertConfig(vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                                     num_attention_heads=4)  # fmt: skip
    with pytest.raises(ValueError, match=r"BertModel returned no loss.*AutoModelForCausalLM"):
        lb.transformers_loss(transformers.BertModel(config), ({"input_ids": IDS}, LABELS))
    assert lb.transformers_loss(transformers.BertForMaskedLM(config), ({"input_ids": IDS}, LABELS)).isfinite()


class Tuples(nn.Module):
    """As a model of transformers with return_dict=False."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x - labels).square().mean(), x


def test_a_model_that_answers_in_tuples():
    assert lb.transformers_loss(Tuples(), ({"x": torch.ones(3)}, torch.zeros(3))) == 1
