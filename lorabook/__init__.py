"""lorabook: every variant of LoRA as one short file, and a book that runs.

    import lorabook as lb
    base = lb.load("tiny")
    lb.inject(base.model, lb.LoRA(r=8, alpha=16), targets=r"q_proj|v_proj")

Recipes say what a variant is; `inject`, `fit`, `merge` and `save_adapter` act on a model; `claim`, `verify`, `card` and
`source` are how the book shows that what it says is so.
"""

from lorabook.adapted import disabled as disabled
from lorabook.adapted import inject as inject
from lorabook.adapted import merge as merge
from lorabook.adapted import merged as merged
from lorabook.attention.interpolation import interpolate as interpolate
from lorabook.attention.shifted import LongLoRA as LongLoRA
from lorabook.base.qlora import QLoRA as QLoRA
from lorabook.baselines.bottleneck import insert_bottlenecks as insert_bottlenecks
from lorabook.baselines.prefix import insert_prefix as insert_prefix
from lorabook.card import card as card
from lorabook.card import source as source
from lorabook.claims import claim as claim
from lorabook.claims import verify as verify
from lorabook.fit import Diverged as Diverged
from lorabook.fit import History as History
from lorabook.fit import fit as fit
from lorabook.init.olora import OLoRA as OLoRA
from lorabook.init.pissa import PiSSA as PiSSA
from lorabook.layer import Adapted as Adapted
from lorabook.layer import adapted as adapted
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
from lorabook.optim.lora_plus import LoRAPlus as LoRAPlus
from lorabook.optim.optimizer import optimizer as optimizer
from lorabook.optim.paged import Paged as Paged
from lorabook.optim.private import Noise as Noise
from lorabook.optim.private import Private as Private
from lorabook.rank.adalora import AdaLoRA as AdaLoRA
from lorabook.rank.delta import DeltaLoRA as DeltaLoRA
from lorabook.rank.drop import learn_with_drop as learn_with_drop
from lorabook.rank.drop import share_the_rest as share_the_rest
from lorabook.rank.dylora import DyLoRA as DyLoRA
from lorabook.rank.dylora import FrozenDyLoRA as FrozenDyLoRA
from lorabook.rank.evolution import Evolution as Evolution
from lorabook.rank.glora_draw import GLoRASupernet as GLoRASupernet
from lorabook.rank.glora_search import search_kinds as search_kinds
from lorabook.recipe import AxisConflict as AxisConflict
from lorabook.recipe import Recipe as Recipe
from lorabook.recipe import catalogue as catalogue
from lorabook.save import load_adapter as load_adapter
from lorabook.save import save_adapter as save_adapter
from lorabook.scale.rank_stable import rsLoRA as rsLoRA
from lorabook.update.dora import DoRA as DoRA
from lorabook.update.frozen_a import LoRAFA as LoRAFA
from lorabook.update.glora import GLoRA as GLoRA
from lorabook.update.glora import Kinds as Kinds
from lorabook.update.glora_subnet import cut_supernet as cut_supernet
from lorabook.update.glora_subnet import kinds_in_use as kinds_in_use
from lorabook.update.glora_subnet import use_kinds as use_kinds
from lorabook.update.hadamard import LoHa as LoHa
from lorabook.update.hira import HiRA as HiRA
from lorabook.update.kronecker import LoKr as LoKr
from lorabook.update.low_rank import LoRA as LoRA
from lorabook.update.mini_ensemble import MELoRA as MELoRA
from lorabook.update.nested import truncate as truncate
from lorabook.update.parallel import MultiLoRA as MultiLoRA
from lorabook.update.vera import VeRA as VeRA
