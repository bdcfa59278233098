"""lorabook: every variant of LoRA as one short file, and a book that runs.

    import lorabook as lb
    base = lb.load("tiny")
    lb.inject(base.model, lb.LoRA(r=8, alpha=16), targets=r"q_proj|v_proj")

Recipes say what a variant is; `inject`, `fit`, `merge` and `save_adapter` act on a model; `claim`, `verify`, `card` and
`source` are how the book shows that what it says is so. Everything else is reached by its path. A name is imported when
it is first used, so that the command line answers before torch is loaded.
"""

from importlib import import_module

_HOMES = {
    # recipes
    "LoRA": "core.lora", "LoRAFA": "axes.form.lora_fa", "DoRA": "axes.form.dora", "LoHa": "axes.form.loha",
    "HiRA": "axes.form.hira", "LoKr": "axes.form.lokr", "VeRA": "axes.form.vera", "GLoRA": "axes.form.glora",
    "MELoRA": "axes.form.melora", "MultiLoRA": "axes.form.multilora", "PiSSA": "axes.init.pissa",
    "OLoRA": "axes.init.olora", "rsLoRA": "axes.scale.rslora", "QLoRA": "axes.base.qlora",
    "LoRAPlus": "axes.optim.lora_plus", "AdaLoRA": "axes.rule.adalora", "DyLoRA": "axes.rule.dylora",
    "DeltaLoRA": "axes.rule.delta_lora", "LongLoRA": "axes.attention.longlora", "OrthogonalLoRA": "many.orthogonal",
    "DPDyLoRA": "many.federated", "GLoRASupernet": "axes.rule.glora_draw", "Recipe": "core.recipe",
    "AxisConflict": "core.recipe", "Paged": "axes.optim.paged",
    # one adapter on a model
    "load": "models.load", "inject": "core.inject", "fit": "core.fit", "Diverged": "core.training_step",
    "merge": "core.merge", "merged": "core.merge", "disabled": "core.merge", "adapted": "core.adapted_layer",
    "truncate": "axes.form.dylora", "search_kinds": "axes.rule.glora_search", "cut_supernet": "axes.form.glora_subnet",
    "transformers_pairs": "models.transformers_batches", "transformers_loss": "models.transformers_batches",
    "learn_with_drop": "axes.rule.lora_drop", "save_adapter": "saving.save", "load_adapter": "saving.save",
    # several adapters
    "pairs_of": "many.pair", "stack": "many.stacking", "bank": "many.bank", "serving": "many.bank",
    "compose": "many.hub", "learn_in_turn": "many.in_turn",
    # what LoRA is compared with
    "insert_bottlenecks": "baselines.bottleneck", "insert_prefix": "baselines.prefix",
    # what the book says
    "claim": "claims.claim", "misconception": "claims.claim", "verify": "claims.runner", "card": "claims.card",
    "source": "claims.card",
}  # fmt: skip
"""Every public name, and the one module that it is in."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lorabook' has no attribute {name!r}; its names are {', '.join(sorted(_HOMES))}")
    return getattr(import_module(f"lorabook.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
