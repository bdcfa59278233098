"""The contenders: every variant that adapts one model to one task, the baselines, and what people combine.

α is 2r where a recipe has an α, as is common, and the papers' own numbers stand for all else. What does not learn one
model for one task is not here: S-LoRA, LoRAHub, O-LoRA and DP-DyLoRA have experiments of their own.
"""

from lorabook.arena.method import Adapter, BottleneckAdapters, FullFineTuning, LoRADrop, Method, PrefixTuning
from lorabook.axes.attention.longlora import LongLoRA
from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.glora import GLoRA
from lorabook.axes.form.hira import HiRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr
from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.axes.form.melora import MELoRA
from lorabook.axes.form.multilora import MultiLoRA
from lorabook.axes.form.vera import VeRA
from lorabook.axes.init.olora import OLoRA
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.rule.delta_lora import DeltaLoRA
from lorabook.axes.rule.dylora import DyLoRA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.lora import LoRA

BASELINE = "LoRA"
"""The contender whose size r = 8 is the equal budget, and whose step is the unit of time."""
BASELINE_RANK = 8
NONE = range(0)

METHODS: tuple[Method, ...] = (
    FullFineTuning(),
    Adapter(BASELINE, lambda r: LoRA(r, 2 * r)),
    Adapter("LoRA r=2", lambda r: LoRA(r, 2 * r), NONE, own=2),
    Adapter("LoRA r=32", lambda r: LoRA(r, 2 * r), NONE, own=32),
    Adapter("rsLoRA", lambda r: LoRA(r, 2 * r) | rsLoRA()),
    Adapter("LoRA+", lambda r: LoRA(r, 2 * r) | LoRAPlus(), first_rate=4e-3),
    Adapter("LoRA-FA", lambda r: LoRAFA(r, 2 * r)),
    Adapter("PiSSA", lambda r: PiSSA(r, r), first_rate=2e-3),
    Adapter("OLoRA", lambda r: OLoRA(r, r), first_rate=2e-3),
    Adapter("QLoRA", lambda r: QLoRA(r, 2 * r)),
    Adapter("QDoRA", lambda r: QLoRA(r, 2 * r) | DoRA()),
    Adapter("QPiSSA", lambda r: QLoRA(r, r) | PiSSA(), first_rate=2e-3),
    Adapter("QLoRA | rsLoRA | LoRA+", lambda r: QLoRA(r, 2 * r) | rsLoRA() | LoRAPlus(), first_rate=4e-3),
    Adapter("DoRA", lambda r: DoRA(r, 2 * r)),
    Adapter("LoHa", lambda r: LoHa(r, 2 * r)),
    Adapter("HiRA", lambda r: HiRA(r), own=32),
    Adapter("LoKr", lambda r: LoKr(r, 2 * r, factor=4)),
    Adapter("LoKr factor=8", lambda r: LoKr(r, 2 * r, factor=8), NONE, own=4),
    Adapter("VeRA", lambda r: VeRA(r), first_rate=6.4e-2),
    Adapter("GLoRA", lambda r: GLoRA(r), first_rate=4e-3),
    Adapter("MELoRA", lambda r: MELoRA(r, 2 * r, n=4), own=2),
    Adapter("MultiLoRA", lambda r: MultiLoRA(r, 2 * r, n=3), own=8),
    Adapter("AdaLoRA", lambda r: AdaLoRA(max(r + 1, 3 * r // 2), 2 * r, target_r=r), own=4),
    Adapter("DyLoRA", lambda r: DyLoRA(r, 2 * r)),
    Adapter("Delta-LoRA", lambda r: DeltaLoRA(r, 2 * r)),
    LoRADrop(),
    # Norms and embeddings train beside it: nothing as small as the equal budget is LongLoRA.
    Adapter("LongLoRA", lambda r: LongLoRA(32, r, 2 * r), NONE, own=8),
    BottleneckAdapters(),
    PrefixTuning(),
)
