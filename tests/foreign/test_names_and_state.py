"""An adapter is its layers' numbers and what trained or changed beside them, whatever the model is wrapped in.

Forms × ways in which a model holds its parts × wrappers × what happened before saving, every pair of values at least
once. Each case is saved, loaded into a plain model and into a wrapped one, loaded by PEFT where PEFT can say it, and
taken off again with `disabled`.
"""

import copy
import json
import warnings
from collections import Counter
from dataclasses import replace

import peft
import pytest
import safetensors.torch
import torch
from hosts import HOSTS, WRAPPERS, X
from pairwise import pairwise
from torch import Tensor, nn
from worlds import forms

from lorabook.core.adapted_layer import adapted
from lorabook.core.beside import outside
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import disabled
from lorabook.core.names import unwrapped
from lorabook.saving.convert import to_lora
from lorabook.saving.peft.forms import FORMS
from lorabook.saving.save import load_adapter, save_adapter

WEIGHTS, OPTIONS = "adapter_model.safetensors", "adapter_config.json"
FORM = forms()


@pytest.fixture(autouse=True)
def _wrappers_alone():
    """What matters here is the wrapper around the model, and compiling 200 models takes minutes; see the next file."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="module", autouse=True)
def _one_process(tmp_path_factory):
    """A process group of one, which DDP asks for."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def recipe_of(form: str, beside: str | None):
    return replace(FORM[form], r=2, alpha=3.0, rule=None, also_train=beside)


def move(model: nn.Module) -> None:
    """What training does: numbers that train move, and running statistics follow the data."""
    source = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=source, dtype=parameter.dtype)
    model.train()
    with torch.no_grad():
        model(2 * X + 1)
    model.eval()


def frozen_again(model: nn.Module) -> None:
    model.requires_grad_(False)


def injected_again(model: nn.Module) -> None:
    """A second adapter on a layer that has none yet, and training goes on."""
    spare = next((n for n, m in model.named_modules() if type(m) is nn.Linear and "q" not in n), None)
    weights = Counter(id(m.weight) for m in model.modules() if type(m) is nn.Linear)
    if spare is not None and weights[id(model.get_submodule(spare).weight)] == 1:
        trains = {n for n, p in model.named_parameters() if p.requires_grad and ".update." not in n}
        if not any(name.startswith(f"{spare}.") for name in trains):
            inject(model, LoRA(r=1), f"^{spare}$")
            move(model)


def converted(model: nn.Module) -> None:
    if all(layer.bias is layer.base.bias for layer in adapted(model).values()):  # GLoRA has no LoRA like it
        to_lora(model, 2)


def moved(model: nn.Module) -> None:
    """As to another device: every tensor lies elsewhere, and the model is the same."""
    model._apply(torch.clone)


AFTERWARDS = {
    "as trained": lambda model: None,
    "frozen again": frozen_again,
    "a second injection": injected_again,
    "as LoRA": converted,
    "moved": moved,
}

FACTORS = [sorted(FORM), list(HOSTS), list(WRAPPERS), list(AFTERWARDS)]
CASES = pairwise(FACTORS, apart=(0, 1))


def said(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model.eval()(X)


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def in_peft(model: nn.Module, folder) -> nn.Module:
    with warnings.catch_warnings(action="ignore"):
        return peft.PeftModel.from_pretrained(model, folder)


def files(folder) -> tuple[dict, dict]:
    return json.loads((folder / OPTIONS).read_text()), safetensors.torch.load_file(folder / WEIGHTS)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch.*")
@pytest.mark.parametrize(("form", "host", "wrapper", "afterwards"), CASES)
def test_what_a_run_changed_is_what_a_file_holds(form, host, wrapper, afterwards, tmp_path):
    here = HOSTS[host]
    plain = here.model()
    model = copy.deepcopy(plain)
    inject(model, recipe_of(form, here.beside), here.targets)
    move(model)
    AFTERWARDS[afterwards](model)
    if not any(p.requires_grad for p in model.parameters()) and "DDP" in wrapper:
        wrapper = "compile"  # DDP takes no model of which nothing trains
    wrapped = WRAPPERS[wrapper](copy.deepcopy(model))
    truth = said(model)
    assert gap(truth, said(plain)) > 1e-3
    save_adapter(wrapped, tmp_path / "wrapped")
    save_adapter(model, tmp_path / "bare")
    options, tensors = files(tmp_path / "wrapped")
    bare_options, bare_tensors = files(tmp_path / "bare")
    assert options == bare_options
    assert tensors.keys() == bare_tensors.keys()
    assert all(torch.equal(tensor, bare_tensors[key]) for key, tensor in tensors.items())

    fresh = copy.deepcopy(plain)
    load_adapter(fresh, tmp_path / "wrapped")
    assert gap(said(fresh), truth) <= 1e-12
    save_adapter(fresh, tmp_path / "again")
    assert files(tmp_path / "again")[1].keys() == tensors.keys()
    if "DDP" not in wrapper:
        whole = WRAPPERS[wrapper](copy.deepcopy(plain))
        load_adapter(whole, tmp_path / "bare")
        assert gap(said(whole), truth) <= 1e-12
    for loaded in (fresh, wrapped):
        with disabled(loaded):
            assert gap(said(loaded), said(plain)) <= 1e-12
        assert gap(said(loaded), truth) <= 1e-12

    used = {type(layer.recipe.form) for layer in adapted(model).values()}
    if options["peft_type"] == "lorabook":
        assert options["why_not_peft"]
        assert not here.in_peft or len(used) > 1 or not used <= FORMS.keys()
        with pytest.raises(KeyError, match="lorabook"):
            in_peft(copy.deepcopy(plain), tmp_path / "wrapped")
    else:
        assert here.in_peft
        assert gap(said(in_peft(copy.deepcopy(plain), tmp_path / "wrapped")), truth) <= 1e-5


def test_every_pair_is_tried():
    for i, j in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        assert {(case[i], case[j]) for case in CASES} == {(a, b) for a in FACTORS[i] for b in FACTORS[j]}


@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch.*")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("host", ["batch norm trained", "one layer, two places", "one block, two names"])
def test_targets_and_counts_go_by_plain_names_in_any_wrapper(host, wrapper):
    here = HOSTS[host]
    bare, wrapped = here.model(), WRAPPERS[wrapper](here.model())
    names = list(inject(bare, LoRA(r=2), here.targets))
    if "DDP" in wrapper:
        with pytest.raises(ValueError, match="inject into the plain model first"):
            inject(wrapped, LoRA(r=2), here.targets)
        return
    assert list(inject(wrapped, LoRA(r=2), here.targets)) == names == list(adapted(wrapped))
    assert len(names) == 2  # one layer under two names is one layer
    assert all(unwrapped(wrapped).get_submodule(name) is layer for name, layer in adapted(wrapped).items())


def test_a_layer_that_was_compiled_alone_is_refused_with_advice():
    model = HOSTS["nothing beside"].model()
    inner, model.q = model.q, torch.compile(model.q, backend="eager")
    with pytest.raises(ValueError, match="compiled on its own.*take the wrapper off"):
        inject(model, LoRA(r=2), r"^q$")
    model.q = inner
    assert list(inject(model, LoRA(r=2), r"^q$")) == ["q"]


def test_what_people_unfreeze_themselves_belongs_to_the_adapter(tmp_path):
    plain = HOSTS["RoBERTa's head"].model()
    model = copy.deepcopy(plain)
    inject(model, LoRA(r=2), "^q$")
    model.after.requires_grad_(True)
    batch = (X, torch.arange(6) % 3)
    fit(model, iter([batch] * 3), steps=3, lr=0.1, progress=False)
    model.requires_grad_(False)
    save_adapter(model, tmp_path)
    fresh = copy.deepcopy(plain)
    load_adapter(fresh, tmp_path)
    assert gap(said(fresh), said(model)) <= 1e-12
    with disabled(model):
        assert torch.equal(said(model), said(plain))


def test_an_adapter_of_a_part_goes_by_the_parts_names(tmp_path):
    """Injected in a part, saved from the whole, and the other way round."""
    whole = nn.ModuleDict({"net": HOSTS["batch norm trained"].model()})
    plain = copy.deepcopy(whole)
    inject(whole["net"], recipe_of("LowRankForm", "between"), r"^(q|o)$")
    move(whole["net"])
    frozen_again(whole)
    save_adapter(whole, tmp_path / "whole")
    save_adapter(whole["net"], tmp_path / "part")
    one, other = copy.deepcopy(plain), copy.deepcopy(plain)
    load_adapter(one, tmp_path / "whole")
    load_adapter(other["net"], tmp_path / "part")
    assert gap(said(one["net"]), said(whole["net"])) <= 1e-12
    assert gap(said(other["net"]), said(whole["net"])) <= 1e-12


@pytest.mark.parametrize("wrapper", ["bare", "compile", "AveragedModel"])
def test_a_run_goes_on_with_its_running_statistics(wrapper, tmp_path):
    def run(model: nn.Module, steps: int, checkpoint) -> nn.Module:
        batches = [(X + i, torch.arange(6) % 8) for i in range(6)]
        fit(model, iter(batches), steps=steps, lr=0.05, checkpoint=checkpoint, progress=False)
        return model

    def new() -> nn.Module:
        model = HOSTS["batch norm trained"].model()
        inject(model, recipe_of("LowRankForm", "between"), r"^(q|o)$")
        return model

    whole = run(new(), 6, tmp_path / "one")
    run(new(), 3, tmp_path / "two")
    resumed = run(WRAPPERS[wrapper](new()), 6, tmp_path / "two")
    assert torch.equal(said(resumed), said(whole))
    assert {n for names, _, _ in outside(resumed) for n in names if "running" in n} == {
        "between.running_mean", "between.running_var"
    }  # fmt: skip


def test_a_norm_that_was_replaced_by_a_synchronised_one_is_still_the_adapters(tmp_path):
    plain = HOSTS["batch norm trained"].model()
    model = copy.deepcopy(plain)
    inject(model, recipe_of("LowRankForm", "between"), r"^(q|o)$")
    move(model)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).requires_grad_(False)
    save_adapter(model, tmp_path)
    fresh = copy.deepcopy(plain)
    load_adapter(fresh, tmp_path)
    assert gap(said(fresh), said(model)) <= 1e-12
    with disabled(model):
        assert gap(said(model), said(plain)) <= 1e-12


def test_another_adapter_takes_nothing_of_the_one_before(tmp_path):
    """The first trained a norm and moved its statistics; the second did neither, and its file says nothing of them."""
    plain = HOSTS["batch norm trained"].model()
    first, second = copy.deepcopy(plain), copy.deepcopy(plain)
    inject(first, recipe_of("LowRankForm", "between"), r"^(q|o)$")
    inject(second, recipe_of("LowRankForm", None), r"^(q|o)$")
    move(first)
    second.q.update.B.data += 0.3
    save_adapter(first, tmp_path / "first")
    save_adapter(second, tmp_path / "second")
    model = copy.deepcopy(plain)
    load_adapter(model, tmp_path / "first")
    load_adapter(model, tmp_path / "second")
    assert gap(said(model), said(second)) <= 1e-12
    load_adapter(model, tmp_path / "first")
    assert gap(said(model), said(first)) <= 1e-12


def test_disabled_leaves_a_backward_pass_that_is_still_to_come_alone():
    model = HOSTS["batch norm trained"].model()
    inject(model, recipe_of("LowRankForm", "between"), r"^(q|o)$")
    move(model)
    y = model(X).square().sum()
    with disabled(model), torch.no_grad():
        model(X)
    y.backward()
    assert model.between.weight.grad.abs().sum() > 0
