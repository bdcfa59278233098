"""Two processes on gloo: DDP and FSDP2 train as one process does, and save the plain model's files."""

import json

import pytest
import safetensors.torch
import torch
from two_processes import FORMS, one_of_two

WEIGHTS, OPTIONS = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(one_of_two, (folder,), nprocs=2)
    return folder


@pytest.mark.parametrize("rank", [0, 1])
def test_both_processes_compute_what_one_computes(folder, rank):
    lines = (folder / f"numbers-{rank}").read_text().splitlines()
    assert len(lines) == 8 * len(FORMS) + 3
    apart = {what: float(gap) for what, gap in (line.rsplit(" ", 1) for line in lines)}
    assert {what: gap for what, gap in apart.items() if not gap <= 1e-9} == {}


@pytest.mark.parametrize("form", FORMS)
def test_the_files_are_the_plain_models(folder, form):
    alone = safetensors.torch.load_file(folder / f"{form}-alone-0" / WEIGHTS)
    options = json.loads((folder / f"{form}-alone-0" / OPTIONS).read_text())
    for other in (f"{form}-ddp-0", f"{form}-ddp-1", f"{form}-fsdp", f"{form}-fsdp-later"):
        tensors = safetensors.torch.load_file(folder / other / WEIGHTS)
        assert json.loads((folder / other / OPTIONS).read_text()) == options
        assert {key: tensor.shape for key, tensor in tensors.items()} == {k: t.shape for k, t in alone.items()}
        assert all(torch.allclose(tensors[key], tensor, rtol=1e-8, atol=1e-10) for key, tensor in alone.items())


def test_what_shards_cannot_do_is_refused_by_name(folder):
    for rank in (0, 1):
        merge, checkpoint, inject, ddp, load = (folder / f"messages-{rank}").read_text().splitlines()
        assert merge.startswith("q.update.A is sharded over several processes (FSDP)")
        assert "save_adapter(model, folder)" in merge
        assert "leave checkpoint out" in checkpoint
        assert "inject first, then fully_shard" in inject
        assert "inject first, then fully_shard" in load
        assert "inject into the plain model first, then wrap it" in ddp
