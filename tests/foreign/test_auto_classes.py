"""AutoPeftModel…, AutoModel… and PeftModel open an adapter by what its options say of the base: name, class, task."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import peft
import pytest
import torch
import transformers as hf
from small import gap, llama, shake
from torch import Tensor, nn

import lorabook as lb

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*`pad_token_id`.*"),
]
TOKENS = torch.arange(12).reshape(2, 6) % 10 + 1
SIZES = {"vocab_size": 13, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
T5 = hf.T5Config(
    vocab_size=13, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0, dropout_rate=0.0
)


def bert(**more: int) -> hf.BertConfig:
    return hf.BertConfig(**SIZES, max_position_embeddings=16, pad_token_id=0, **more)


def roberta(**more: int) -> hf.RobertaConfig:
    return hf.RobertaConfig(**SIZES, max_position_embeddings=16, pad_token_id=0, **more)


@dataclass(frozen=True)
class Case:
    """A model of transformers: how it is made, where adapters go, what trains beside them, and who opens them."""

    make: Callable[[], nn.Module]
    targets: str
    task: str | None
    auto_peft: type
    auto: type
    inputs: Callable[[], dict[str, Tensor]] = lambda: {"input_ids": TOKENS}
    beside: str | None = None


def picture() -> dict[str, Tensor]:
    return {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)}


def sound() -> dict[str, Tensor]:
    return {"input_features": torch.linspace(-1, 1, 2 * 4 * 16).reshape(2, 4, 16), "decoder_input_ids": TOKENS}


VIT = hf.ViTConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=8, patch_size=4
)
WHISPER = hf.WhisperConfig(
    vocab_size=13, num_mel_bins=4, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_source_positions=8, max_target_positions=8,
    decoder_start_token_id=1, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
CASES = {
    "Llama": Case(
        llama, "q_proj|down_proj", "CAUSAL_LM", peft.AutoPeftModelForCausalLM, hf.AutoModelForCausalLM,
    ),
    "Qwen2": Case(
        lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SIZES, num_key_value_heads=2)), "q_proj|up_proj", "CAUSAL_LM",
        peft.AutoPeftModelForCausalLM, hf.AutoModelForCausalLM,
    ),
    "GPT-2": Case(
        lambda: hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=13, n_positions=16, n_embd=16, n_layer=2, n_head=2)),
        "c_attn|c_proj", "CAUSAL_LM", peft.AutoPeftModelForCausalLM, hf.AutoModelForCausalLM,
    ),
    "Llama without a head": Case(
        lambda: llama().model, "q_proj", None, peft.AutoPeftModel, hf.AutoModel,
    ),
    "T5": Case(
        lambda: hf.T5ForConditionalGeneration(T5), r"\.q$|\.wo$", "SEQ_2_SEQ_LM", peft.AutoPeftModelForSeq2SeqLM,
        hf.AutoModelForSeq2SeqLM, lambda: {"input_ids": TOKENS, "decoder_input_ids": TOKENS},
    ),
    "BERT that fills gaps": Case(
        lambda: hf.BertForMaskedLM(bert()), "query|value", None, peft.AutoPeftModel, hf.AutoModelForMaskedLM,
    ),
    "BERT": Case(lambda: hf.BertModel(bert()), "query|value", None, peft.AutoPeftModel, hf.AutoModel),
    "BERT with classes": Case(
        lambda: hf.BertForSequenceClassification(bert(num_labels=3)), "query|value", "SEQ_CLS",
        peft.AutoPeftModelForSequenceClassification, hf.AutoModelForSequenceClassification, beside="^classifier",
    ),
    "RoBERTa with classes": Case(
        lambda: hf.RobertaForSequenceClassification(roberta(num_labels=3)), "query|value", "SEQ_CLS",
        peft.AutoPeftModelForSequenceClassification, hf.AutoModelForSequenceClassification, beside="^classifier",
    ),
    "BERT whose head stays frozen": Case(
        lambda: hf.BertForSequenceClassification(bert(num_labels=3)), "query|value", "SEQ_CLS",
        peft.AutoPeftModelForSequenceClassification, hf.AutoModelForSequenceClassification,
    ),
    "Whisper": Case(
        lambda: hf.WhisperForConditionalGeneration(WHISPER), "q_proj|fc2", None, peft.AutoPeftModel,
        hf.AutoModelForSpeechSeq2Seq, sound,
    ),
    "Mixtral": Case(
        lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=2)),
        "q_proj|o_proj", "CAUSAL_LM", peft.AutoPeftModelForCausalLM, hf.AutoModelForCausalLM,
    ),
    "BERT with a class a token": Case(
        lambda: hf.BertForTokenClassification(bert(num_labels=3)), "query|value", "TOKEN_CLS",
        peft.AutoPeftModelForTokenClassification, hf.AutoModelForTokenClassification, beside="^classifier",
    ),
    "RoBERTa that answers": Case(
        lambda: hf.RobertaForQuestionAnswering(roberta()), "query|value", "QUESTION_ANS",
        peft.AutoPeftModelForQuestionAnswering, hf.AutoModelForQuestionAnswering, beside="^qa_outputs",
    ),
    "ViT": Case(
        lambda: hf.ViTForImageClassification(VIT), "q_proj|query", None, peft.AutoPeftModel,
        hf.AutoModelForImageClassification, picture,
    ),
}  # fmt: skip
DORA = pytest.mark.parametrize("recipe", [lb.LoRA(3, 7), lb.DoRA(3, 7)], ids=["LoRA", "DoRA"])


def outputs(model: nn.Module, case: Case) -> Tensor:
    with torch.no_grad():
        return model.eval()(**case.inputs())[0]


def saved(case: Case, recipe: lb.Recipe, folder: Path) -> nn.Module:
    """Save a base and an adapter on it, and return the adapted model."""
    torch.manual_seed(2)
    case.make().save_pretrained(folder / "base")
    model = opened(case.auto, folder / "base")
    assert type(model) is type(case.make()), "the base itself does not come back"
    lb.inject(model, recipe | lb.Recipe(also_train=case.beside), case.targets)
    shake(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "update" not in name:
            parameter.data += 0.3
    lb.save_adapter(model, folder / "adapter")
    return model


def opened(auto: type, folder: Path) -> nn.Module:
    return auto.from_pretrained(folder)


@DORA
@pytest.mark.parametrize("name", CASES)
def test_all_three_open_an_adapter_with_the_same_outputs(name: str, recipe: lb.Recipe, tmp_path: Path) -> None:
    case = CASES[name]
    model = saved(case, recipe, tmp_path)
    said, folder = outputs(model, case), tmp_path / "adapter"
    assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == case.task
    assert gap(outputs(opened(case.auto, tmp_path / "base"), case), said) > 1e-3, "the adapter does nothing"
    assert gap(outputs(opened(case.auto_peft, folder), case), said) < 1e-5
    assert gap(outputs(opened(case.auto, folder), case), said) < 1e-5
    base = opened(case.auto, tmp_path / "base")
    assert gap(outputs(peft.PeftModel.from_pretrained(base, folder), case), said) < 1e-5
    here = opened(case.auto, tmp_path / "base")
    lb.load_adapter(here, folder)
    assert gap(outputs(here, case), said) < 1e-5


def test_a_base_that_moved_is_named_in_the_options_and_everyone_reads_on(tmp_path: Path) -> None:
    case = CASES["Llama"]
    model = saved(case, lb.rsLoRA(3, 7), tmp_path)
    said, folder = outputs(model, case), tmp_path / "adapter"
    shutil.move(tmp_path / "base", tmp_path / "moved")
    path = folder / "adapter_config.json"
    options = json.loads(path.read_text())
    assert options["base_model_name_or_path"] == str(tmp_path / "base")
    path.write_text(json.dumps(options | {"base_model_name_or_path": str(tmp_path / "moved"), "revision": "main"}))
    assert gap(outputs(opened(case.auto_peft, folder), case), said) < 1e-5
    here = opened(case.auto, tmp_path / "moved")
    lb.load_adapter(here, folder)
    assert gap(outputs(here, case), said) < 1e-5


def test_a_given_name_comes_before_the_models_own(tmp_path: Path) -> None:
    model = llama()
    lb.inject(model, lb.LoRA(2), "q_proj")
    lb.save_adapter(model, tmp_path, "somebody/llama")
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "somebody/llama"
    plain = nn.Sequential(nn.Linear(4, 4))
    lb.inject(plain, lb.LoRA(2), "0")
    lb.save_adapter(plain, tmp_path)
    options = json.loads((tmp_path / "adapter_config.json").read_text())
    assert options["base_model_name_or_path"] is None
    assert "auto_mapping" not in options
