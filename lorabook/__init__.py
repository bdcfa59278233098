"""lorabook: every variant of LoRA as one short file, and a book that runs.

    import lorabook as lb
    base = lb.load("tiny")
    lb.inject(base.model, lb.LoRA(r=8, alpha=16), targets=r"q_proj|v_proj")

Recipes say what a variant is; `inject`, `fit`, `merge` and `save_adapter` act on a model; `claim`, `verify`, `card` and
`source` are how the book shows that what it says is so.
"""

from lorabook.axes.attention.interpolation import interpolate as interpolate
from lorabook.axes.attention.longlora import LongLoRA as LongLoRA
from lorabook.axes.base.qlora import QLoRA as QLoRA
from lorabook.axes.form.dora import DoRA as DoRA
from lorabook.axes.form.dylora import truncate as truncate
from lorabook.axes.form.glora import GLoRA as GLoRA
from lorabook.axes.form.glora import Kinds as Kinds
from lorabook.axes.form.glora_subnet import cut_supernet as cut_supernet
from lorabook.axes.form.glora_subnet import kinds_in_use as kinds_in_use
from lorabook.axes.form.glora_subnet import use_kinds as use_kinds
from lorabook.axes.form.hira import HiRA as HiRA
from lorabook.axes.form.loha import LoHa as LoHa
from lorabook.axes.form.lokr import LoKr as LoKr
from lorabook.axes.form.lora_fa import LoRAFA as LoRAFA
from lorabook.axes.form.melora import MELoRA as MELoRA
from lorabook.axes.form.multilora import MultiLoRA as MultiLoRA
from lorabook.axes.form.vera import VeRA as VeRA
from lorabook.axes.init.olora import OLoRA as OLoRA
from lorabook.axes.init.pissa import PiSSA as PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus as LoRAPlus
from lorabook.axes.optim.paged import Paged as Paged
from lorabook.axes.optim.private import Noise as Noise
from lorabook.axes.optim.private import Private as Private
from lorabook.axes.rule.adalora import AdaLoRA as AdaLoRA
from lorabook.axes.rule.delta_lora import DeltaLoRA as DeltaLoRA
from lorabook.axes.rule.dylora import DyLoRA as DyLoRA
from lorabook.axes.rule.dylora import FrozenDyLoRA as FrozenDyLoRA
from lorabook.axes.rule.evolution import Evolution as Evolution
from lorabook.axes.rule.glora_draw import GLoRASupernet as GLoRASupernet
from lorabook.axes.rule.glora_search import search_kinds as search_kinds
from lorabook.axes.rule.lora_drop import learn_with_drop as learn_with_drop
from lorabook.axes.rule.lora_drop import share_the_rest as share_the_rest
from lorabook.axes.scale.rslora import rsLoRA as rsLoRA
from lorabook.baselines.bottleneck import insert_bottlenecks as insert_bottlenecks
from lorabook.baselines.prefix import insert_prefix as insert_prefix
from lorabook.claims.card import card as card
from lorabook.claims.card import source as source
from lorabook.claims.catalogue import catalogue as catalogue
from lorabook.claims.claim import claim as claim
from lorabook.claims.runner import verify as verify
from lorabook.core.adapted_layer import Adapted as Adapted
from lorabook.core.adapted_layer import adapted as adapted
from lorabook.core.fit import Diverged as Diverged
from lorabook.core.fit import History as History
from lorabook.core.fit import fit as fit
from lorabook.core.inject import disabled as disabled
from lorabook.core.inject import inject as inject
from lorabook.core.inject import merge as merge
from lorabook.core.inject import merged as merged
from lorabook.core.lora import LoRA as LoRA
from lorabook.core.optimizer import optimizer as optimizer
from lorabook.core.recipe import AxisConflict as AxisConflict
from lorabook.core.recipe import Recipe as Recipe
from lorabook.many.bank import bank as bank
from lorabook.many.bank import serving as serving
from lorabook.many.combine import Truncated as Truncated
from lorabook.many.combine import concatenated as concatenated
from lorabook.many.combine import factors_summed as factors_summed
from lorabook.many.conflicts import conflicts as conflicts
from lorabook.many.federated import DPDyLoRA as DPDyLoRA
from lorabook.many.federated import Federation as Federation
from lorabook.many.federated import federate as federate
from lorabook.many.hub import Composed as Composed
from lorabook.many.hub import compose as compose
from lorabook.many.hub import product_of_sums as product_of_sums
from lorabook.many.in_turn import learn_in_turn as learn_in_turn
from lorabook.many.orthogonal import OrthogonalLoRA as OrthogonalLoRA
from lorabook.many.pages import PoolFull as PoolFull
from lorabook.many.pair import pairs_of as pairs_of
from lorabook.many.scheduler import InTime as InTime
from lorabook.many.scheduler import Request as Request
from lorabook.many.scheduler import Scheduler as Scheduler
from lorabook.many.stacking import attach as attach
from lorabook.many.stacking import attached as attached
from lorabook.many.stacking import stack as stack
from lorabook.models.load import load as load
from lorabook.saving.save import load_adapter as load_adapter
from lorabook.saving.save import save_adapter as save_adapter
