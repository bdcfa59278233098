"""What chapter 28 stands on: the plans and their bills, who reads which file, the answers of the explorer's tasks."""

import re
from dataclasses import replace

import pytest
import torch

import lorabook as lb
from lorabook.arena.answers import read
from lorabook.arena.record import Record
from lorabook.book.explore.choose import Result, State, choose, compute
from lorabook.book.explore.choose_facts import LLAMA_CPP, MERGED, PEFT, SHAPE, VLLM, facts
from lorabook.book.explore.choose_plan import (
    AT_HAND,
    IN_TURN,
    JOBS,
    WAYS,
    Means,
    Need,
    bill,
    code,
    first_that_fits,
    ladder,
)
from lorabook.book.explore.explorer import Explorer
from lorabook.cost import memory
from lorabook.cost.count import LLAMA
from lorabook.models.decoder import Decoder
from lorabook.saving.adapter_file import read as read_file
from lorabook.saving.servers import llama_cpp, vllm


@pytest.fixture(scope="module")
def view() -> Explorer:
    return choose()


def at(view: Explorer, **moves: object) -> Result:
    return view.compute(replace(State(), **moves))


def test_every_recipe_that_is_written_is_one_of_the_book(view: Explorer) -> None:
    written = {line.removeprefix("recipe = ") for result in view.compute.results for line in result.code}
    recipes = [line for line in written if line.startswith("lb.") and " | " in line or re.match(r"lb\.Q?LoRA\(", line)]
    assert len(recipes) > 20
    for line in recipes:
        made = eval(line, {"lb": lb})
        assert isinstance(made, lb.Recipe), line
    names = {name for line in written for name in re.findall(r"lb\.(\w+)", line)}
    assert names <= set(lb.__all__)


def test_a_plan_runs_as_it_is_written() -> None:
    need = Need("7B", 1024, JOBS[0], MERGED, 16)
    model = Decoder(SHAPE)
    stream = iter([(torch.zeros(1, 8, dtype=torch.long),) * 2] * 2)
    lines = "\n".join(code(need, Means(True, True))).replace("steps=…, lr=…", "steps=2, lr=0.01, progress=False")
    from lorabook.models.recompute import recomputed

    exec(lines, {"lb": lb, "model": model, "batches": stream, "recomputed": recomputed})
    assert not lb.adapted(model)


def test_a_bill_is_that_of_the_memory_calculator() -> None:
    need = Need("13B", 2048, JOBS[0], MERGED, 16)
    method = memory.Adapters(16, "_proj", memory.NF4_DOUBLE)
    budget = memory.training(
        LLAMA["13B"], method, memory.MIXED, memory.ADAMW, memory.Batch(1, 2048), checkpointing=True
    )
    assert sum(bill(need, Means(True, True)).values()) == pytest.approx(budget.device / memory.GIB)


def test_a_longer_text_trains_the_embedding_and_mixing_trains_nothing() -> None:
    assert "embedding" in bill(Need("7B", 4096, JOBS[0], MERGED, 16), Means(False, False))
    for length in (512, 4096):
        assert (
            not {"gradients", "optimiser", "activations"}
            & bill(Need("7B", length, AT_HAND, MERGED, 16), Means(True, False)).keys()
        )


def test_each_step_of_the_ladder_is_smaller_and_the_first_that_fits_is_taken() -> None:
    for job in JOBS:
        need = Need("7B", 2048, job, MERGED, 16)
        bills = [sum(bill(need, means).values()) for means in ladder(job)]
        for i, gib in enumerate(bills):
            taken, parts = first_that_fits(need, gib)
            assert sum(parts.values()) <= gib
            assert ladder(job).index(taken) <= i
        assert first_that_fits(need, 0.1)[0] == ladder(job)[-1]
    assert not any(means.four_bits for means in ladder(IN_TURN))


@pytest.mark.parametrize("recipe", [lb.LoRA(4), lb.rsLoRA(4), lb.DoRA(4), lb.VeRA(4), lb.LongLoRA(8, 4)])
def test_who_reads_a_file_is_told_by_the_file_as_it_is_written(recipe, tmp_path) -> None:
    model = Decoder(SHAPE)
    lb.inject(model, recipe, "self_attn", torch.Generator().manual_seed(0))
    lb.save_adapter(model, tmp_path)
    file = read_file(tmp_path)
    told = [reader(file.options, file.tensors) for reader in (vllm, llama_cpp)]
    label = recipe.label
    assert (told[0] is None) == (label in ("LoRA", "rsLoRA")), label
    assert (told[1] is None) == (label in ("LoRA", "rsLoRA")), label


def test_one_alpha_for_all_layers_is_all_that_either_knows() -> None:
    plain = {"peft_type": "LORA", "use_rslora": False, "alpha_pattern": {}, "rank_pattern": {}}
    assert vllm(plain, []) is None
    assert llama_cpp(plain, ["x.lora_A.weight", "x.lora_B.weight"]) is None
    for reader in (vllm, llama_cpp):
        assert reader(plain | {"alpha_pattern": {"^q": 3}}, []) is not None
    assert vllm(plain | {"rank_pattern": {"^q": 3}}, []) is not None
    assert "α√r" in llama_cpp(plain | {"use_rslora": True}, [])


def test_what_cannot_be_had_is_said_of_someone_and_not_of_all() -> None:
    assert len(facts()) == 19
    for way in (MERGED, PEFT, VLLM, LLAMA_CPP):
        against = [each.name for each in facts() if way in each.obstacles]
        assert 0 < len(against) < len(facts())
    merging = [each.name for each in facts() if MERGED not in each.obstacles]
    assert len(merging) == 17
    assert "LoRA" in merging


def test_the_first_task_checkpointing_first_and_70b_fits_on_48(view: Explorer) -> None:
    result = at(view, gpu=16, length=2048)
    assert result.sentence.startswith("LoRA with checkpointing needs 14.4 GiB of 16.")
    whole = bill(Need("7B", 2048, JOBS[0], MERGED, 16), Means(False, False))
    assert f"{sum(whole.values()):.1f}" == "23.1"
    fits = {gpu: sum(at(view, gpu=gpu, length=2048, model="70B").gib) <= gpu for gpu in (16, 24, 48, 80)}
    assert fits == {16: False, 24: False, 48: True, 80: True}
    assert at(view, gpu=48, length=2048, model="70B").sentence.startswith(
        "QLoRA with checkpointing needs 41.0 GiB of 48."
    )


def test_the_second_task_six_remain_for_llama_cpp(view: Explorer) -> None:
    everyone = at(view, goes=LLAMA_CPP).contenders
    against = dict(zip(everyone.names, everyone.against, strict=True))
    assert {name for name, why in against.items() if not why} == {
        "LoRA", "rsLoRA", "LoRA+", "LoRA-FA", "PiSSA", "OLoRA"
    }  # fmt: skip
    assert "alone" in against["DoRA"]
    assert State().goes != LLAMA_CPP


def test_of_those_that_merge_none_was_measured_better_than_lora(view: Explorer) -> None:
    everyone = at(view).contenders
    rows = list(zip(everyone.names, everyone.against, everyone.says, strict=True))
    assert sum(not against for _, against, _ in rows) == 17
    assert [name for name, against, says in rows if says == "better" and not against] == []
    assert "none of them" in at(view).sentence
    told = {each.method: each for each in read(Record().folder).comparisons if each.task == "kjv"}
    assert {name for name, _, _ in rows} - {"LoRA"} <= set(told)


@pytest.mark.parametrize("way", WAYS)
def test_every_state_says_where_it_runs_and_what_it_needs(view: Explorer, way: str) -> None:
    for job in JOBS:
        result = at(view, job=job, goes=way)
        assert result.code
        assert sum(result.gib) > 0
        assert ("copy" in " ".join(result.why)) == (job == JOBS[2] and way == MERGED)


def test_compute_without_a_record_says_not_run() -> None:
    assert set(compute(State(), {}).contenders.says) == {""}
