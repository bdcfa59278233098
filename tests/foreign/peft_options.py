"""Every option that PEFT's configurations have, with values other than the default, and what must come of each.

`OPTIONS` is compared with PEFT's own dataclasses: an option that it lacks turns the test red.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import peft
import peft.tuners.lora.config as lora_config


@dataclass(frozen=True)
class Value:
    """A value of an option, and what else it takes; `by_hand`: put into the file, not asked of PEFT."""

    value: Any
    beside: dict[str, Any] = dataclasses.field(default_factory=dict)
    by_hand: bool = False


@dataclass(frozen=True)
class Loads(Value):
    """The file is read, and gives PEFT's logits on every model on which PEFT itself can do it."""


@dataclass(frozen=True)
class Refused(Value):
    """The file is refused, and the message names the option (or `names`)."""

    names: str | None = None


@dataclass(frozen=True)
class ByLayer(Value):
    """Read where nothing came of it, refused by name where something did; both happen on our models."""

    names: str | None = None


TARGETS = ["q_proj", "down_proj", "up", "c_proj"]

COMMON = {
    "peft_type": (),  # the configuration sets it
    "task_type": (Loads("CAUSAL_LM"), Loads("FEATURE_EXTRACTION")),
    "auto_mapping": (Loads({"base_model_class": "X", "parent_library": "transformers"}, by_hand=True),),
    "peft_version": (Loads("0.1.0"),),
    "base_model_name_or_path": (Loads("somebody/something", by_hand=True),),
    "revision": (Loads("main", by_hand=True),),
    "inference_mode": (Loads(True, by_hand=True),),
    "target_modules": (
        Loads(["q_proj", "v_proj", "up", "c_attn"]),
        Loads(r".*(q_proj|up|c_fc)"),
        Loads("all-linear"),
        Loads(["conv", "k_proj", "c_fc"]),
    ),
    "modules_to_save": (Loads(["norm"]), Loads(["conv"]), Loads(["ln_f"])),
}
TABLES = Loads(["q_proj", "embed_tokens", "table"])
LAYERS = {
    "exclude_modules": (Loads(["layers.0.self_attn.q_proj", "down_proj", "h.1.mlp.c_proj"]), Loads(r".*1.*")),
    "layers_to_transform": (Loads([1]), Loads(0)),
    "layers_pattern": (
        Loads("layers", {"layers_to_transform": [1]}),
        Loads(["layers", "h"], {"layers_to_transform": 0}),
    ),
}
RANKS = {"r": (Loads(5), Loads(1))}
TRANSPOSED = {"fan_in_fan_out": (Loads(True),)}
BIAS = {"bias": (ByLayer("all"), ByLayer("lora_only"))}

STARTS = (
    Loads(False), Loads("gaussian"), Loads("eva"), Loads("olora"), Loads("pissa"), Loads("orthogonal", {"r": 4}),
    Loads("mica"), Loads("pissa", {"target_modules": ["embed_tokens", "table", "q_proj"]}),
    Loads("olora", {"target_modules": ["embed_tokens", "table", "q_proj"]}),
    Loads("orthogonal", {"r": 4, "target_modules": ["embed_tokens", "table"]}),
    Loads("pissa", {"use_rslora": True}), Loads("olora", {"use_dora": True}),
    Refused("pissa_niter_4"), Refused("loftq", by_hand=True),
    Refused("corda", by_hand=True), Refused("lora_ga", by_hand=True), Refused("a later one", by_hand=True),
)  # fmt: skip

LORA = COMMON | LAYERS | RANKS | TRANSPOSED | BIAS | {
    "target_modules": (*COMMON["target_modules"], TABLES),
    "lora_alpha": (Loads(3), Loads(2.5), Refused(0, names="alpha"), Refused(-4, names="alpha")),
    "lora_dropout": (Loads(0.3),),
    "use_rslora": (Loads(True), Loads(True, {"rank_pattern": {"q_proj": 2, "up": 2}, "alpha_pattern": {"q_proj": 5}})),
    "init_lora_weights": STARTS,
    "rank_pattern": (Loads({"q_proj": 2, "up": 2, "c_proj": 2}), Loads({r"layers\.1.*q_proj": 1, "^up": 4})),
    "alpha_pattern": (Loads({"q_proj": 9, "up": 9, "c_proj": 9}), Loads({"^up": 1.5, r"h\.0.*": 1.5})),
    "megatron_config": (Refused({"any": 1}, by_hand=True),),
    "megatron_core": (Loads("another.core"),),
    "trainable_token_indices": (Refused([1, 2]), Refused({"embed_tokens": [1]})),
    "loftq_config": (Loads({"loftq_bits": 4, "loftq_iter": 2}, by_hand=True),),
    "eva_config": (Loads(peft.EvaConfig(), {"init_lora_weights": "eva"}),),
    "corda_config": (Loads({"corda_method": "kpm"}, by_hand=True),),
    "lora_ga_config": (Loads(lora_config.LoraGAConfig()),),
    "use_dora": (Loads(True), Loads(True, {"use_rslora": True, "rank_pattern": {"q_proj": 2, "up": 2, "c_proj": 2}})),
    "velora_config": (Loads(lora_config.VeloraConfig(num_groups=4)),),
    "alora_invocation_tokens": (Refused([1]),),
    "use_qalora": (Refused(True),),
    "qalora_group_size": (Loads(4),),
    "monteclora_config": (Refused(lora_config.MontecloraConfig()),),
    "layer_replication": (Refused([[0, 2], [1, 2]]),),
    "runtime_config": (Loads(lora_config.LoraRuntimeConfig(ephemeral_gpu_offload=True)),),
    "lora_bias": (Refused(True),),
    "target_parameters": (Refused(["lm_head.weight", "up.weight"], by_hand=True),),
    "use_bdlora": (Refused(lora_config.BdLoraConfig(target_modules_bd_a=TARGETS, nblocks=2), {"r": 4}),),
    "arrow_config": (Refused({"top_k": 3}, by_hand=True),),
    "kasa_config": (Refused(lora_config.KasaConfig()),),
    "ensure_weight_tying": (Loads(True),),
}  # fmt: skip

IGNORED_BY_ADALORA = {
    "use_rslora": (Loads(True),),
    "alpha_pattern": (Loads({"q_proj": 9, "up": 9}),),
    "lora_bias": (Loads(True),),
    "init_lora_weights": (Loads(False), Loads("pissa"), Loads("olora"), Refused("a later one", by_hand=True)),
    "velora_config": (Loads(lora_config.VeloraConfig(num_groups=4)),),
    "alora_invocation_tokens": (Loads([1]),),
    "use_qalora": (Loads(True),),
    "monteclora_config": (Loads(lora_config.MontecloraConfig()),),
    "use_bdlora": (Loads(lora_config.BdLoraConfig(target_modules_bd_a=TARGETS, nblocks=2)),),
    "arrow_config": (Loads(lora_config.ArrowConfig()),),
    "kasa_config": (Loads(lora_config.KasaConfig()),),
    "eva_config": (Loads(peft.EvaConfig(), {"init_lora_weights": "eva"}),),
    "use_dora": (Refused(True, by_hand=True),),
    "target_modules": (*COMMON["target_modules"][:3],),
}
ADALORA = {option: values[:1] for option, values in LORA.items()} | IGNORED_BY_ADALORA | {
    "r": (Loads(5),),
    "rank_pattern": (Loads({}),),
    "target_r": (Loads(1),),
    "init_r": (Loads(5),),
    "tinit": (Loads(2),),
    "tfinal": (Loads(2),),
    "deltaT": (Loads(3),),
    "beta1": (Loads(0.5),),
    "beta2": (Loads(0.5),),
    "orth_reg_weight": (Loads(0.1),),
    "total_step": (Loads(50),),
}  # fmt: skip

LYCORIS = COMMON | LAYERS | RANKS | {
    "rank_pattern": (Loads({"q_proj": 2, "up": 2}),),
    "alpha_pattern": (Loads({"q_proj": 9, "up": 1.5}),),
    "alpha": (Loads(3), Refused(0)),
    "rank_dropout": (Loads(0.5),),
    "module_dropout": (Loads(0.5),),
    "use_effective_conv2d": (Loads(True), ByLayer(True, {"target_modules": ["conv", "q_proj"]})),
    "init_weights": (Loads(False), Refused("a later one", by_hand=True)),
}  # fmt: skip
LOKR = LYCORIS | {
    "decompose_both": (Loads(True, {"r": 8}), Refused(True, {"r": 1, "decompose_factor": 4})),
    "decompose_factor": (Loads(4), Loads(2)),
    "rank_dropout_scale": (Loads(True, {"rank_dropout": 0.5}),),
    "use_effective_conv2d": (Loads(True), ByLayer(True, {"target_modules": ["conv", "q_proj"], "r": 1})),
    "init_weights": (Loads(False), Loads("lycoris"), Refused("a later one", by_hand=True)),
}
HIRA = COMMON | LAYERS | RANKS | TRANSPOSED | {
    "target_modules": (*COMMON["target_modules"], TABLES),
    "hira_dropout": (Loads(0.3),),
    "init_weights": (Loads(False), Loads("gaussian"), Loads(None), Refused("a later one", by_hand=True)),
    "rank_pattern": (Loads({"q_proj": 2, "up": 2, "c_proj": 2}),),
}  # fmt: skip
VERA = COMMON | LAYERS | RANKS | TRANSPOSED | {
    "projection_prng_key": (Loads(7),),
    "save_projection": (Refused(False),),
    "vera_dropout": (Loads(0.3),),
    "d_initial": (Loads(0.5),),
    "bias": (ByLayer("all"), ByLayer("vera_only")),
    "init_weights": (Loads(False), Refused("a later one", by_hand=True)),
}  # fmt: skip
del VERA["exclude_modules"]
GLORA = (
    COMMON
    | RANKS
    | {
        "bias": (ByLayer("all"), ByLayer("glora_only")),
        "config_A_B": (Loads("vector"), Loads("constant"), ByLayer("none")),
        "config_C": (Loads("vector"), Loads("none")),
        "config_D_E": (Loads("vector"), Loads("none")),
        "init_weights": (Loads(False), Refused("a later one", by_hand=True)),
    }
)

NAMES = frozenset(
    "task_type auto_mapping peft_version base_model_name_or_path revision inference_mode megatron_core runtime_config "
    "eva_config corda_config lora_ga_config loftq_config megatron_config target_r tinit tfinal deltaT beta1 beta2 "
    "orth_reg_weight total_step qalora_group_size target_parameters arrow_config projection_prng_key".split()
)
"""Options that are read before any layer is looked at: one model is enough."""

OPTIONS: dict[type, dict[str, tuple[Value, ...]]] = {
    peft.LoraConfig: LORA,
    peft.AdaLoraConfig: ADALORA,
    peft.LoHaConfig: LYCORIS,
    peft.LoKrConfig: LOKR,
    peft.HiraConfig: HIRA,
    peft.VeraConfig: VERA,
    peft.GloraConfig: GLORA,
}
"""What must come of every option, by PEFT's configuration."""

PARTS: dict[type, tuple[str, dict[str, tuple[Any, ...]]]] = {
    lora_config.LoraRuntimeConfig: ("runtime_config", {"ephemeral_gpu_offload": (True,)}),
    lora_config.VeloraConfig: (
        "velora_config", {"num_groups": (2,), "scale": (2.0,), "init_type": ("random", "batch_average_once")}
    ),
    lora_config.LoftQConfig: ("loftq_config", {"loftq_bits": (8,), "loftq_iter": (3,)}),
    lora_config.ArrowConfig: (
        "arrow_config",
        {"top_k": (1,), "router_temperature": (2.0,), "use_gks": (True,), "task_adapter_names": (["a"],),
         "gks_adapter_names": (["a"],), "rng_seed": (3,)},
    ),
    lora_config.BdLoraConfig: (
        "use_bdlora",
        {"target_modules_bd_a": (["q_proj"],), "target_modules_bd_b": (["q_proj"],), "nblocks": (2,),
         "match_strict": (False,)},
    ),
    lora_config.EvaConfig: (
        "eva_config",
        {"rho": (1.0,), "tau": (0.5,), "use_label_mask": (False,), "label_mask_value": (0,), "whiten": (True,),
         "adjust_scaling_factors": (False,)},
    ),
    lora_config.KasaConfig: ("kasa_config", {"beta": (0.1,), "gamma": (0.1,)}),
    lora_config.CordaConfig: (
        "corda_config",
        {"cache_file": ("x",), "covariance_file": ("x",), "corda_method": ("kpm",), "verbose": (True,),
         "use_float16_for_covariance": (True,), "prune_temporary_fields": (False,)},
    ),
    lora_config.LoraGAConfig: (
        "lora_ga_config", {"direction": ("ArBr", "random"), "scale": ("unit",), "stable_gamma": (8,)}
    ),
    lora_config.MontecloraConfig: (
        "monteclora_config",
        {"num_samples": (2,), "use_entropy": (True,), "dirichlet_prior": (0.5,), "sample_scaler": (0.1,),
         "kl_loss_weight": (0.1,), "buffer_size": (3,)},
    ),
}  # fmt: skip
"""Every option of an option, by its class: the option it belongs to, and values other than the default."""
