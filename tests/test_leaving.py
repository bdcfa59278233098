"""Leaving the book: a merged model as transformers' folder and as a GGUF file, its adapter in PEFT, and one of PEFT's.

Small models of random weights; SmolLM2's own come in where its real tokenizer and template matter.
"""

import copy
import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import peft
import pytest
import torch
import transformers
from torch import Tensor

import lorabook as lb
from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.original_layer import Original
from lorabook.models import gguf_file, smollm2
from lorabook.models.decoder import Decoder, DecoderConfig, initialise
from lorabook.models.gguf_file import load_gguf, our_name, rows_in_halves, rows_in_pairs
from lorabook.models.llama_shape import llama_shape, llama_weights
from lorabook.models.loaded import Loaded
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import Vocabulary, read_vocabulary
from lorabook.saving.checkpoint import save_checkpoint
from lorabook.saving.convert import to_lora
from lorabook.saving.gguf_file import Precision, save_gguf, their_name
from lorabook.tasks import chat, lorania

# What PEFT and transformers say to each other.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SHAPE = DecoderConfig(1026, 64, 2, 4, 2, 16, 96, 64, tied=True, rope_theta=5000.0, norm_eps=1e-6)
UNTIED = dataclasses.replace(SHAPE, tied=False, d_head=32)
SHAPES = pytest.mark.parametrize("shape", [SHAPE, UNTIED], ids=["tied", "untied, wide heads"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vocabulary() -> Vocabulary:
    """The shipped tokenizer with ChatML's two marks."""
    shipped = read_vocabulary(data_file("tokenizer.json"))
    shipped.tokenizer.add_special_tokens([chat.START, chat.END])
    return shipped


def small(shape: DecoderConfig = SHAPE, seed: int = 0) -> Loaded:
    model = Decoder(shape)
    initialise(model, seeded(seed))
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=seeded(seed + 1))
    return Loaded(model.eval(), vocabulary(), "small", torch.device("cpu"), shape.context)


def some_tokens() -> Tensor:
    return torch.randint(1026, (2, 9), generator=seeded(5))


def trained(loaded: Loaded, recipe: lb.Recipe, targets: str = "_proj") -> Loaded:
    """Inject a recipe, and move all that trains."""
    for layer in lb.inject(loaded.model, recipe, targets, seeded()).values():
        for parameter in layer.update.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=seeded(parameter.numel()))
    return loaded


# A folder of transformers


@SHAPES
def test_a_merged_model_opens_in_transformers_and_computes_the_same(tmp_path: Path, shape: DecoderConfig) -> None:
    ours = trained(small(shape), lb.DoRA(r=4))
    lb.merge(ours.model)
    save_checkpoint(ours, tmp_path, torch.float32)
    theirs, said = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(theirs(some_tokens()).logits, ours.model(some_tokens()), rtol=1e-4, atol=1e-5)
    back = lb.load(tmp_path)
    assert llama_shape(back.model) == shape
    text = "".join(part.text for part in chat.parts(lorania.asked_anew()[0]))
    assert back.tokenizer.encode(text) == ours.tokenizer.encode(text)
    again = llama_weights(back.model)
    assert all(torch.equal(again[name], tensor) for name, tensor in llama_weights(ours.model).items())


def test_the_folder_speaks_chatml_and_ends_on_its_mark(tmp_path: Path) -> None:
    save_checkpoint(small(), tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for one in (*lorania.trained_chats()[:3], lorania.asked_anew()[1]):
        messages = [{"role": turn.role, "content": turn.text} for turn in one]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        assert text == "".join(part.text for part in chat.parts(one))
        asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        assert asked == chat.opened(one)
    assert tokenizer.eos_token == chat.END
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 1025


def test_what_is_not_merged_or_no_llama_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="merge adapters first"):
        save_checkpoint(trained(small(), lb.LoRA(r=2)), tmp_path)
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=8))
    with pytest.raises(ValueError, match="expected a LLaMA, ours or transformers', and this is 'gpt2'"):
        save_checkpoint(dataclasses.replace(small(), model=gpt2), tmp_path)
    scaled = small(dataclasses.replace(SHAPE, position_scale=0.5))
    with pytest.raises(ValueError, match="rotations are scaled"):
        save_checkpoint(scaled, tmp_path)
    large = small()
    large.model.norm.weight.data[3] = 1e6
    with pytest.raises(ValueError, match=r"norm\.weight has numbers too large for torch.float16"):
        save_checkpoint(large, tmp_path / "large")
    assert list(tmp_path.glob("*.safetensors")) == []


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 4.0}])
def test_the_shape_is_read_off_an_older_transformers_too(tmp_path: Path, scaling: dict | None) -> None:
    save_checkpoint(small(), tmp_path, torch.float32)
    model = lb.load(tmp_path).model
    said = vars(model.config) | {"rope_parameters": None, "rope_theta": 5000.0, "rope_scaling": scaling}
    model.config = SimpleNamespace(**(said | {"model_type": "llama"}))
    if scaling is None:
        assert llama_shape(model) == SHAPE
    else:
        with pytest.raises(ValueError, match="rotations are scaled"):
            llama_shape(model)


# A GGUF file


@SHAPES
def test_a_gguf_file_has_llama_cpps_names_and_comes_back(tmp_path: Path, shape: DecoderConfig) -> None:
    loaded = small(shape)
    path = tmp_path / "model.gguf"
    save_gguf(loaded, path)
    written = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    theirs = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.layers)
    weights = llama_weights(loaded.model)
    names = {n: theirs.get_name(n if n.startswith("lm_head") else f"model.{n}", (".weight",)) for n in weights}
    assert {n: their_name(n) for n in weights} == names, "the package's own table of names"
    assert set(written) == set(names.values())
    for name, weight in weights.items():
        tensor = written[names[name]]
        data = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(name.split(".")[-2])
        due = rows_in_pairs(weight, heads) if heads else weight
        assert torch.equal(data.float(), due if weight.ndim == 1 else due.half().float()), name
    back = load_gguf(path)
    assert dataclasses.replace(back.model.config, norm_eps=shape.norm_eps) == shape
    assert back.model.config.norm_eps == pytest.approx(shape.norm_eps, rel=1e-6)
    assert (back.name, back.context) == ("model", 64)
    for name, weight in llama_weights(back.model).items():
        assert torch.equal(weight, weights[name] if weight.ndim == 1 else weights[name].half().float())
    text = "".join(part.text for part in chat.parts(lorania.asked_anew()[2]))
    assert back.tokenizer.encode(text) == loaded.tokenizer.encode(text)
    fields = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    assert fields["tokenizer.chat_template"] == chat.TEMPLATE
    assert fields["tokenizer.ggml.tokens"][fields["tokenizer.ggml.eos_token_id"]] == chat.END


def test_a_gguf_file_of_transformers_model_is_the_same(tmp_path: Path) -> None:
    loaded = small()
    save_checkpoint(loaded, tmp_path / "folder", torch.float32)
    save_gguf(loaded, tmp_path / "ours.gguf")
    save_gguf(dataclasses.replace(lb.load(tmp_path / "folder"), name="small"), tmp_path / "theirs.gguf")
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.parametrize(("precision", "bits", "off"), [(Precision.Q8_0, 8.5, 0.01), (Precision.Q4_1, 5.0, 0.12)])
def test_fewer_bits_lose_more(tmp_path: Path, precision: Precision, bits: float, off: float) -> None:
    loaded = small()
    save_gguf(loaded, tmp_path / "model.gguf", precision)
    for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors:
        layer_matrix = len(tensor.shape) == 2 and tensor.name != "token_embd.weight"
        assert not layer_matrix or 8 * tensor.n_bytes / tensor.n_elements == bits
    back = llama_weights(load_gguf(tmp_path / "model.gguf").model)
    for name, weight in llama_weights(loaded.model).items():
        lost = ((back[name] - weight).norm() / weight.norm()).item()
        assert lost == 0 if weight.ndim == 1 else off / 30 < lost < off, name


def test_an_odd_row_has_no_blocks_and_another_architecture_no_reader(tmp_path: Path) -> None:
    odd = small(dataclasses.replace(SHAPE, ffn=50))
    with pytest.raises(ValueError, match=r"down_proj\.weight has rows of 50 numbers; Q8_0 takes blocks of 32"):
        save_gguf(odd, tmp_path / "odd.gguf", Precision.Q8_0)
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.add_tokenizer_model("llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ValueError, match="holds a mamba with a tokenizer of type llama"):
        load_gguf(tmp_path / "other.gguf")


def test_without_gguf_both_ways_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install gguf"):
        save_gguf(small(), tmp_path / "model.gguf")
    with pytest.raises(ModuleNotFoundError, match="pip install gguf"):
        load_gguf(tmp_path / "model.gguf")


def test_pairs_and_halves_undo_each_other() -> None:
    w = torch.randn(24, 3, generator=seeded())
    assert torch.equal(rows_in_halves(rows_in_pairs(w, 3), 3), w)
    assert not torch.equal(rows_in_pairs(w, 3), w)
    assert our_name("blk.11.attn_q.weight") == "layers.11.self_attn.q_proj.weight"
    assert their_name("layers.11.self_attn.q_proj.weight") == "blk.11.attn_q.weight"


def test_smollm2s_file_is_written_again_as_it_was(tmp_path: Path) -> None:
    """The same names, shapes, order of rows and tokens as in llama.cpp's own file of this model."""
    reader = gguf.GGUFReader(smollm2.weights_file())
    loaded = lb.load("smollm2")
    weights = len(llama_weights(loaded.model))
    save_gguf(loaded, tmp_path / "again.gguf", Precision.F16, gguf_file.SMOLLM)
    del loaded
    again = gguf.GGUFReader(tmp_path / "again.gguf")
    mine = {tensor.name: tensor for tensor in again.tensors}
    assert set(mine) == {tensor.name for tensor in reader.tensors}
    for tensor in [t for t in reader.tensors if t.name.startswith(("blk.3.", "token_embd", "output_norm"))]:
        due = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        came = gguf.quants.dequantize(mine[tensor.name].data, mine[tensor.name].tensor_type)
        np.testing.assert_allclose(came, due, rtol=1e-3, atol=1e-6, err_msg=tensor.name)
    fields, due = ({n: f.contents() for n, f in r.fields.items()} for r in (again, reader))
    for name in ("tokens", "merges", "token_type", "pre", "model", "eos_token_id"):
        assert fields[f"tokenizer.ggml.{name}"] == due[f"tokenizer.ggml.{name}"], name
    for name in due:
        if name.startswith("llama."):
            assert fields[name] == due[name], name
    assert weights == len(mine)


# PEFT


@pytest.mark.parametrize("recipe", [lb.LoRA(r=4, alpha=16), lb.DoRA(r=4), lb.PiSSA(r=4)], ids=lambda r: r.label)
def test_an_adapter_of_a_checkpoint_loads_in_peft_and_computes_the_same(tmp_path: Path, recipe: lb.Recipe) -> None:
    save_checkpoint(small(), tmp_path / "base", torch.float32)
    ours = trained(lb.load(tmp_path / "base"), recipe)
    lb.save_adapter(ours.model, tmp_path / "adapter", base_name=str(tmp_path / "base"))
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    before = base(some_tokens()).logits
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    after = theirs(some_tokens()).logits
    torch.testing.assert_close(after, ours.model(some_tokens()), rtol=1e-4, atol=1e-5)
    assert (after - before).abs().max() > 0.01


def test_an_adapter_that_peft_made_is_brought_in_and_computes_the_same(tmp_path: Path) -> None:
    save_checkpoint(small(), tmp_path / "base", torch.float32)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    config = peft.LoraConfig(r=3, lora_alpha=12, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    theirs = peft.get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_" in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=seeded(parameter.numel()))
    theirs.save_pretrained(tmp_path / "adapter")
    ours = lb.load(tmp_path / "base")
    layers = lb.load_adapter(ours.model, tmp_path / "adapter")
    assert len(layers) == 2 * SHAPE.layers
    torch.testing.assert_close(ours.model(some_tokens()), theirs(some_tokens()).logits, rtol=1e-4, atol=1e-5)


# Any adapter as a LoRA


def w0_of(layer: Adapted) -> Tensor:
    """The matrix as it was before injection, as it is stored."""
    original = layer.original()
    matrix = original.matrix() if isinstance(original, Original) else original.weight
    return matrix.detach().double()


FORMS = {
    "LoRA": lb.LoRA(r=4), "rsLoRA": lb.LoRA(r=4) | lb.rsLoRA(), "DoRA": lb.DoRA(r=4), "PiSSA": lb.PiSSA(r=4),
    "LoHa": lb.LoHa(r=2), "HiRA": lb.HiRA(r=4), "LoKr": lb.LoKr(r=2), "VeRA": lb.VeRA(r=8), "QLoRA": lb.QLoRA(r=4),
    "QDoRA": lb.QLoRA(r=4) | lb.DoRA(),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_any_adapter_becomes_the_nearest_lora_of_a_rank(name: str, tmp_path: Path) -> None:
    model = trained(small(), FORMS[name]).model
    before = {each: (w0_of(layer), layer.plain().weight.detach().double()) for each, layer in adapted(model).items()}
    with lb.disabled(model):
        off = model(some_tokens())
    lost = to_lora(model, 6)
    assert lost.keys() == before.keys()
    for each, layer in adapted(model).items():
        w0, w = before[each]
        change = w - w0
        made = layer.plain().weight.detach().double() - w0
        sigma = torch.linalg.svdvals(change)
        assert ((made - change).norm() / change.norm()).item() == pytest.approx(lost[each], abs=2e-5)
        assert lost[each] == pytest.approx(math.sqrt(sigma[6:].square().sum() / sigma.square().sum()), abs=2e-5)
        assert torch.linalg.matrix_rank(layer.update.B.detach() @ layer.update.A.detach(), rtol=1e-4) <= 6
    if name in ("LoRA", "rsLoRA", "QLoRA"):
        assert max(lost.values()) < 1e-5
    with lb.disabled(model):
        torch.testing.assert_close(model(some_tokens()), off)
    lb.save_adapter(model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "LORA"


def test_a_pissa_is_whole_at_twice_its_rank_and_peft_converts_a_loha_alike(tmp_path: Path) -> None:
    model = trained(small(), lb.PiSSA(r=4)).model
    before = model(some_tokens())
    assert max(to_lora(model, 8).values()) < 1e-5
    torch.testing.assert_close(model(some_tokens()), before, rtol=1e-3, atol=1e-4)

    save_checkpoint(small(), tmp_path / "base", torch.float32)
    ours = trained(lb.load(tmp_path / "base"), lb.LoHa(r=2), "q_proj")
    lb.save_adapter(ours.model, tmp_path / "loha")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    _, tensors = peft.convert_to_lora(peft.PeftModel.from_pretrained(base, tmp_path / "loha"), rank=3)
    to_lora(ours.model, 3)
    for name, layer in adapted(ours.model).items():
        a, b = (next(t for key, t in tensors.items() if f"{name}.lora_{x}" in key) for x in "AB")
        mine = layer.update.B.detach() @ layer.update.A.detach()
        torch.testing.assert_close(b @ a, mine, rtol=1e-3, atol=1e-4)


def test_what_a_lora_cannot_be_is_refused_and_the_model_is_as_it_was() -> None:
    plain = small()
    with pytest.raises(ValueError, match="no adapted layer to convert"):
        to_lora(plain.model, 4)
    for recipe, r, message in (
        (lb.LoRA(r=4), 33, r"rank r = 33 is larger than layers\.0\.self_attn\.k_proj allows"),
        (lb.QLoRA(r=4) | lb.PiSSA(), 8, "was quantised after its init"),
        (lb.LoRA(r=4), 0, "rank to convert to"),
    ):
        model = trained(copy.deepcopy(plain), recipe).model
        before = model(some_tokens())
        with pytest.raises(ValueError, match=message):
            to_lora(model, r)
        assert torch.equal(model(some_tokens()), before)
