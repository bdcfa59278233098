"""What PEFT writes is read as PEFT means it, or refused with advice that works: names, copies, ties, starts, patterns.

Each case asks PEFT for an adapter, moves all that trains there, saves it and loads it here: the outputs are equal, or
the message's advice is followed, word for word, and then they are.
"""

import copy
import re
import warnings

import peft
import pytest
import torch
import transformers
from hosts import HOSTS, Net, Twice, X
from small import every_kind, gpt2, llama
from torch import Tensor, nn

from lorabook.axes.form.hira import HiRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.saving.adapter_file import BadAdapter
from lorabook.saving.save import load_adapter, save_adapter

TOKENS = torch.arange(24).reshape(3, 8) % 11


def out(model: nn.Module) -> Tensor:
    of_rows = any(isinstance(module, (Net, Twice)) for module in model.modules())
    with torch.no_grad():
        said = model.eval()(X if of_rows else TOKENS)
    return said if isinstance(said, Tensor) else said.logits


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def in_peft(model: nn.Module, config: peft.PeftConfig, folder) -> nn.Module:
    """PEFT's adapter of this model, moved, its running statistics too, and saved."""
    torch.manual_seed(1)
    with warnings.catch_warnings(action="ignore"):
        theirs = peft.get_peft_model(copy.deepcopy(model), config)
        source = torch.Generator().manual_seed(2)
        for name, parameter in theirs.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:
                parameter.data += 0.2 * torch.randn(parameter.shape, generator=source).to(parameter)
        if any(isinstance(module, nn.BatchNorm1d) for module in theirs.modules()):
            theirs.train()(2 * X + 1)
        theirs.eval().save_pretrained(folder)
    return theirs


def advised(message: str, model: nn.Module) -> None:
    """Do what the message says."""
    code = re.search(r"was in PEFT: (.*)$|first: (layer = .*)$", message, re.DOTALL)
    exec(next(group for group in code.groups() if group), {"model": model, "torch": torch, "copy": copy})


def refused(model: nn.Module, folder) -> str | None:
    """Load a file; return the message if it is refused."""
    try:
        load_adapter(model, folder)
    except BadAdapter as error:
        return str(error)
    return None


def loads_as_in_peft(plain: nn.Module, config: peft.PeftConfig, folder, tolerance: float = 1e-6) -> int:
    """Load what PEFT wrote, with as much advice as it takes; return how often advice was followed."""
    theirs = out(in_peft(plain, config, folder))
    model, followed = copy.deepcopy(plain), 0
    while (advice := refused(model, folder)) is not None:
        assert gap(out(model), out(plain)) == 0  # a refused file changes nothing
        advised(advice, model)
        followed += 1
        assert followed < 3
    assert gap(out(model), theirs) <= tolerance
    if not followed:
        save_adapter(model, folder / "again")
        again = copy.deepcopy(plain)
        load_adapter(again, folder / "again")
        assert gap(out(again), theirs) <= tolerance
    return followed


def lora(targets, **options) -> peft.LoraConfig:
    return peft.LoraConfig(**({"r": 2, "lora_alpha": 3, "target_modules": targets} | options))


MODULES = {
    "batch norm": ["between"],
    "batch norm trained": ["between"],
    "half of a norm": ["between"],
    "a Sequential": ["after"],
    "one layer of a Sequential": ["after.1"],
    "RoBERTa's head": ["after"],
    "a ModuleList": ["heads.0", "heads.1"],
    "a ModuleDict": ["after"],
    "a ParameterList": ["between"],
    "one block, two names": ["norm"],
}


@pytest.mark.parametrize("host", MODULES)
def test_modules_to_save_of_every_kind_of_container(host, tmp_path):
    targets = ["q.0" if host == "one block, two names" else "q", "o"]
    assert loads_as_in_peft(HOSTS[host].model(), lora(targets, modules_to_save=MODULES[host]), tmp_path) == 0


@pytest.mark.parametrize(
    ("modules", "advice"), [(["before"], 1), (["after"], 1), (["before", "after"], 1), (["between"], 0)]
)
def test_a_copy_of_one_of_a_tied_pair_is_refused_until_the_pair_is_untied(modules, advice, tmp_path):
    assert loads_as_in_peft(HOSTS["tied, and frozen"].model(), lora(["q"], modules_to_save=modules), tmp_path) == advice


def test_a_tied_pair_that_trained_to_the_same_numbers_stays_tied(tmp_path):
    plain = HOSTS["tied, and frozen"].model()
    with warnings.catch_warnings(action="ignore"):
        theirs = peft.get_peft_model(copy.deepcopy(plain), lora(["q"], modules_to_save=["before", "after"]))
        for name in ("before", "after"):
            theirs.base_model.model.get_submodule(name).modules_to_save["default"].weight.data += 0.5
        theirs.eval().save_pretrained(tmp_path)
    model = copy.deepcopy(plain)
    load_adapter(model, tmp_path)
    assert model.before.weight is model.after.weight
    assert gap(out(model), out(theirs)) <= 1e-12


def test_one_layer_in_two_places_is_refused_until_it_is_two(tmp_path):
    for targets in (["q"], ["q", "o"], "q|o"):
        folder = tmp_path / str(targets)
        assert loads_as_in_peft(HOSTS["one layer, two places"].model(), lora(targets), folder) == 1


@pytest.mark.parametrize(("modules", "advice"), [(["q"], 1), (["again"], 1), (["q", "again"], 1), (["norm"], 0)])
def test_a_copy_in_one_of_two_places_is_refused_until_there_are_two_layers(modules, advice, tmp_path):
    plain = HOSTS["one layer, two places"].model()
    assert loads_as_in_peft(plain, lora(["o"], modules_to_save=modules), tmp_path) == advice


def test_one_block_under_two_names_is_one_here_and_there(tmp_path):
    assert loads_as_in_peft(HOSTS["one block, two names"].model(), lora(["q.0", "o"]), tmp_path) == 0


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("modules", [["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"], ["norm"]])
@pytest.mark.parametrize("ensured", [False, True])
def test_the_embedding_and_head_of_a_transformer(tied, modules, ensured, tmp_path):
    config = lora(["q_proj"], modules_to_save=modules, ensure_weight_tying=ensured)
    followed = loads_as_in_peft(llama(tied=tied), config, tmp_path, 5e-6)
    assert followed == (1 if tied and not ensured and modules != ["norm"] else 0)


def test_a_tied_embedding_that_peft_adapts_is_refused_until_it_is_untied(tmp_path):
    assert loads_as_in_peft(llama(tied=True), lora(["embed_tokens", "q_proj"]), tmp_path, 5e-6) == 1


def roberta() -> nn.Module:
    torch.manual_seed(4)
    config = transformers.RobertaConfig(
        vocab_size=11, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, num_labels=3,
        max_position_embeddings=16, pad_token_id=0,
    )  # fmt: skip
    return transformers.RobertaForSequenceClassification(config).eval()


@pytest.mark.parametrize(
    "config",
    [
        lora(["query", "dense"], task_type="SEQ_CLS"),
        lora(["query"], modules_to_save=["classifier"]),
        lora(["query"], modules_to_save=["classifier.dense", "LayerNorm"]),
        lora("all-linear", task_type="SEQ_CLS"),
        peft.LoHaConfig(r=2, alpha=3, target_modules=["query"], modules_to_save=["classifier"]),
        peft.HiraConfig(r=2, target_modules=["query"], modules_to_save=["classifier"]),
    ],
    ids=["dense targets", "container", "parts", "all-linear", "LoHa", "HiRA"],
)
def test_robertas_classification_head(config, tmp_path):
    assert loads_as_in_peft(roberta(), config, tmp_path, 5e-6) == 0


@pytest.mark.parametrize("moved", [0.5, 0.009, 1e-6])
@pytest.mark.parametrize("bias", [True, False])
def test_no_change_of_a_head_is_too_small_to_be_noticed(moved, bias, tmp_path):
    plain = HOSTS["RoBERTa's head"].model()
    if not bias:
        plain.after.dense.register_parameter("bias", None)
    with warnings.catch_warnings(action="ignore"):
        theirs = peft.get_peft_model(copy.deepcopy(plain), lora(["q"], modules_to_save=["after"]))
        theirs.base_model.model.after.modules_to_save["default"].dense.weight.data *= 1 + moved
        theirs.eval().save_pretrained(tmp_path)
    model = copy.deepcopy(plain)
    load_adapter(model, tmp_path)
    assert gap(out(model), out(theirs)) <= 1e-12
    # Without modules_to_save the same tensors would be a copy of a frozen base, and this model's is another one.
    options = tmp_path / "adapter_config.json"
    options.write_text(options.read_text().replace('"after"\n', '"elsewhere"\n'))
    with pytest.raises(BadAdapter, match="after.dense.*another base"):
        load_adapter(copy.deepcopy(plain), tmp_path)


STARTS = [True, False, "gaussian", "pissa", "pissa_niter_4", "olora", "orthogonal"]
REFUSED = {("olora", "Conv1D"), ("olora", "all"), *(("pissa_niter_4", each) for each in ("linear", "Conv1D", "all"))}
"""What PEFT gets wrong, and what is random."""
LAYERS = {"linear": ["up"], "conv": ["conv"], "table": ["table"], "Conv1D": ["out"], "all": ["table", "up", "out"]}


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("start", STARTS)
def test_every_start_means_on_every_layer_type_what_it_means_in_peft(start, layers, tmp_path):
    plain = every_kind(torch.float32)
    try:
        theirs = in_peft(plain, lora(LAYERS[layers], init_lora_weights=start), tmp_path)
    except ValueError as unknown:  # PEFT has no such start there
        assert (layers, start in ("pissa", "pissa_niter_4", "olora", "orthogonal")) == ("conv", True), unknown  # noqa: PT017
        return
    model = every_kind(torch.float32)
    why = refused(model, tmp_path)
    if why is None:
        assert gap(out(model), out(theirs)) <= 5e-6
    else:
        assert "init_lora_weights" in why
        assert (start, layers) in REFUSED


def of_every_type() -> dict[str, peft.PeftConfig]:
    patterns = {"rank_pattern": {"up": 3}, "alpha_pattern": {"up": 5}}
    return {
        "LORA": lora(["up", "out"], **patterns),
        "rsLoRA": lora(["up", "out"], use_rslora=True, **patterns),
        "DoRA": lora(["up", "out"], use_dora=True, **patterns),
        "LOHA": peft.LoHaConfig(r=2, alpha=3, target_modules=["up", "conv"], **patterns),
        "LOKR": peft.LoKrConfig(r=1, alpha=3, decompose_factor=2, target_modules=["up", "conv"], **patterns),
        "HIRA": peft.HiraConfig(r=2, target_modules=["up", "out"], rank_pattern={"up": 3}),
        "ADALORA": peft.AdaLoraConfig(
            init_r=2, target_r=1, lora_alpha=3, total_step=9, target_modules=["up", "out"], alpha_pattern={"up": 5}
        ),
    }


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")
@pytest.mark.parametrize("kind", of_every_type())
def test_patterns_mean_what_each_type_of_peft_makes_of_them(kind, tmp_path):
    assert loads_as_in_peft(every_kind(), of_every_type()[kind], tmp_path, 1e-5) == 0


@pytest.mark.parametrize("layer", ["up", "conv", "table", "out"])
def test_two_ranks_of_a_form_whose_ranks_peft_ignores_are_our_own_format(layer, tmp_path):
    """And one rank on every layer is PEFT's."""
    for second, theirs in ((3, False), (2, True)):
        model = every_kind()
        inject(model, HiRA(r=2), "^up$" if layer != "up" else "^out$")
        inject(model, HiRA(r=second), f"^{layer}$")
        for one in adapted(model).values():
            one.update.B.data += 0.3
        folder = tmp_path / str(second)
        save_adapter(model, folder)
        assert ('"peft_type": "HIRA"' in (folder / "adapter_config.json").read_text()) == theirs
        if theirs:
            with warnings.catch_warnings(action="ignore"):
                assert gap(out(peft.PeftModel.from_pretrained(every_kind(), folder)), out(model)) <= 1e-12
        fresh = every_kind()
        load_adapter(fresh, folder)
        assert gap(out(fresh), out(model)) <= 1e-12


def test_a_file_of_a_compiled_peft_model_is_the_plain_models(tmp_path):
    plain = HOSTS["RoBERTa's head"].model()
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings(action="ignore"):
        theirs = peft.get_peft_model(
            torch.compile(copy.deepcopy(plain), backend="eager"), lora(["q"], init_lora_weights=False)
        )
        theirs.save_pretrained(tmp_path)
        model = copy.deepcopy(plain)
        load_adapter(model, tmp_path)
        assert gap(out(model), out(theirs)) <= 1e-12


def test_gpt2s_tied_head_is_found_whatever_it_is_called(tmp_path):
    assert loads_as_in_peft(gpt2(), lora(["c_attn"], fan_in_fan_out=True, modules_to_save=["wte"]), tmp_path, 5e-6) == 1
