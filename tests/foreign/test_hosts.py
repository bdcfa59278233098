"""Models that nobody here wrote: transformers' and torch's, with every layer that can be adapted adapted at once."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import transformers as hf
from small import shake
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.core.lora import ORIGIN
from lorabook.core.merge import disabled, merged
from lorabook.core.targets import exactly, find_targets

TOKENS = torch.arange(24).reshape(3, 8) % 11
PICTURES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
SOUND = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(2))
SIZE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = SIZE | {"vocab_size": 11}
NO_MARKS = {"bos_token_id": None, "eos_token_id": None}
MARKED = TEXT | {"bos_token_id": 0, "eos_token_id": 10}
PATCHES = SIZE | {"image_size": 16, "patch_size": 4}


@dataclass(frozen=True)
class Host:
    """How to make a small model, and how it is asked; `dtype` is that of what it reads."""

    make: Callable[[], nn.Module]
    ask: Callable[[nn.Module, torch.dtype], Tensor]


def _logits(model: nn.Module, dtype: torch.dtype) -> Tensor:
    return model(TOKENS).logits


def _of_pictures(model: nn.Module, dtype: torch.dtype) -> Tensor:
    return model(PICTURES.to(dtype)).logits


HOSTS: dict[str, Host] = {
    "Llama": Host(lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT, num_key_value_heads=2)), _logits),
    "Qwen2": Host(lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**TEXT, num_key_value_heads=2)), _logits),
    "Mixtral": Host(
        lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**TEXT, num_key_value_heads=2, num_local_experts=2)), _logits
    ),
    "GPT-2": Host(
        lambda: hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=11, n_embd=16, n_layer=2, n_head=2, **NO_MARKS)), _logits
    ),
    "BERT": Host(lambda: hf.BertForMaskedLM(hf.BertConfig(**TEXT)), _logits),
    "RoBERTa": Host(lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**TEXT)), _logits),
    "T5": Host(
        lambda: hf.T5ForConditionalGeneration(
            hf.T5Config(vocab_size=11, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0)
        ),
        lambda m, dtype: m(input_ids=TOKENS, decoder_input_ids=TOKENS).logits,
    ),
    "ViT": Host(lambda: hf.ViTForImageClassification(hf.ViTConfig(**PATCHES)), _of_pictures),
    "CLIP": Host(
        lambda: hf.CLIPModel(hf.CLIPConfig(text_config=MARKED, vision_config=PATCHES, projection_dim=8)),
        lambda m, dtype: m(input_ids=TOKENS, pixel_values=PICTURES.to(dtype)).logits_per_image,
    ),
    "Whisper": Host(
        lambda: hf.WhisperForConditionalGeneration(
            hf.WhisperConfig(
                vocab_size=11, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=8,
                max_source_positions=10, max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None,
            )
        ),
        lambda m, dtype: m(input_features=SOUND.to(dtype), decoder_input_ids=TOKENS).logits,
    ),
    "torch's Transformer": Host(
        lambda: nn.Transformer(16, 2, 2, 2, 24, batch_first=True),
        lambda m, dtype: m(*torch.randn(2, 3, 5, 16, generator=torch.Generator().manual_seed(3)).to(dtype)),
    ),
}  # fmt: skip


def made(name: str, dtype: torch.dtype) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.manual_seed(4)
        return HOSTS[name].make().to(dtype).eval()


def adaptable(model: nn.Module) -> str:
    """All layers of a known type but those that are tied, each of which `inject` refuses with both names."""
    names, tied = [], 0
    for name, module in model.named_modules():
        if list(module.children()) or not list(module.parameters(recurse=False)):
            continue
        try:
            find_targets(model, exactly([name]), lb.LoRA(r=1).complete(ORIGIN))
            names.append(name)
        except TypeError:
            continue
        except ValueError as refusal:
            tied += 1
            assert "are one tied matrix" in str(refusal) or "use_nested_tensor" in str(refusal), refusal  # noqa: PT017
    assert len(names) > 5
    return exactly(names)


@pytest.mark.parametrize("recipe", [lb.LoRA(r=1), lb.DoRA(r=1), lb.LoHa(r=1)], ids=lambda recipe: recipe.label)
@pytest.mark.parametrize("name", HOSTS)
def test_start_off_and_merged(name: str, recipe: lb.Recipe) -> None:
    model, ask = made(name, torch.float32), HOSTS[name].ask
    with torch.no_grad():
        before = ask(model, torch.float32)
        lb.inject(model, recipe, adaptable(model))
        torch.testing.assert_close(ask(model, torch.float32), before, rtol=1e-4, atol=1e-5)
        shake(model, 0.05)
        now = ask(model, torch.float32)
        assert not torch.allclose(now, before, rtol=1e-3)
        with disabled(model):
            torch.testing.assert_close(ask(model, torch.float32), before, rtol=1e-5, atol=1e-6)
        with merged(model):
            torch.testing.assert_close(ask(model, torch.float32), now, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", HOSTS)
def test_in_bfloat16_every_adapter_trains_in_float32(name: str) -> None:
    model, ask = made(name, torch.bfloat16), HOSTS[name].ask
    with torch.no_grad():
        before = ask(model, torch.bfloat16)
        lb.inject(model, lb.LoRA(r=1), adaptable(model))
        torch.testing.assert_close(ask(model, torch.bfloat16), before, rtol=0.05, atol=0.05)
    model.train()
    said = ask(model, torch.bfloat16)
    assert said.dtype == before.dtype
    said.float().square().mean().backward()
    for layer in adapted(model).values():
        assert {p.dtype for p in layer.update.parameters()} == {torch.float32}
    reached = [name for name, layer in adapted(model).items() if layer.update.B.grad is not None]
    assert len(reached) >= len(adapted(model)) - 2, "but for a pooler or a position that nothing reads"
    model.eval()
    with torch.no_grad(), disabled(model):
        assert torch.equal(ask(model, torch.bfloat16), before)


NESTED = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")  # torch's own, of itself
PADDING = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()


@NESTED
@pytest.mark.parametrize("targets", ["linear1", "linear2", "out_proj", "linear|out_proj", r"0\.linear", r"0.*out_proj"])
@pytest.mark.parametrize("padding", [None, PADDING], ids=["whole", "padded"])
def test_an_encoder_leaves_its_fast_path_where_it_must(targets: str, padding: Tensor | None) -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 2).eval()
    x = torch.randn(2, 5, 16)

    def ask() -> Tensor:
        with torch.no_grad():
            return model(x, src_key_padding_mask=padding)[:, :3]

    before = ask()
    lb.inject(model, lb.LoRA(r=2), targets)
    torch.testing.assert_close(ask(), before)
    shake(model)
    now = ask()
    assert not torch.allclose(now, before, rtol=1e-3)
    with disabled(model):
        torch.testing.assert_close(ask(), before)
    with merged(model):
        torch.testing.assert_close(ask(), now, rtol=1e-4, atol=1e-5)


@NESTED
def test_an_encoder_that_makes_nested_tensors_is_named_and_the_advice_helps() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 2)).eval()
    with pytest.raises(ValueError, match=r"0.layers.1.linear1 .* set use_nested_tensor = False on 0, which changes no"):
        lb.inject(model, lb.LoRA(r=2), r"layers\.1.*linear")
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        before = model[0](x, src_key_padding_mask=PADDING)[:, :3]
        model[0].use_nested_tensor = False
        lb.inject(model, lb.LoRA(r=2), r"layers\.1.*linear")
        torch.testing.assert_close(model[0](x, src_key_padding_mask=PADDING)[:, :3], before)
