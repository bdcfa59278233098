"""The tasks: four on which every contender is compared, and those of single experiments."""

from lorabook.arena.on_digits import TurnedDigits
from lorabook.arena.on_facts import Facts
from lorabook.arena.on_intruders import Intruders
from lorabook.arena.on_text import SMOLLM2, Text, kjv
from lorabook.arena.task import Task
from lorabook.tasks.text import uppercase_austen

KJV = Text("kjv", kjv)
# As many as LoRA of rank 8 nearly learns in these steps: 256 nearly every contender learns, 1,024 LoRA does not begin.
FACTS = Facts("facts-512", 512)
TASKS: tuple[Task, ...] = (KJV, Text("capitals", uppercase_austen), FACTS, TurnedDigits())

# One matrix of the last layer: small enough that its adapter is full.
CAPACITY = tuple(Facts(f"facts-{n}-one-matrix", n, r"layers\.3\.mlp\.down_proj", 240) for n in (128, 256, 512, 1024))
STEPS = (Text("kjv-15-steps", kjv, steps=15), Text("kjv-240-steps", kjv, steps=240))
# As many tokens as in `KJV`, in larger and in smaller batches.
BATCHES = (Text("kjv-batch-1", kjv, steps=240, batch=1), Text("kjv-batch-16", kjv, steps=15, batch=16))
INTRUDERS = Intruders("kjv-intruders", KJV)
ON_SMOLLM2 = Text("kjv-smollm2", kjv, SMOLLM2, steps=30, batch=2, pieces=16, seeds=5)
EXPERIMENT_TASKS: tuple[Task, ...] = (*CAPACITY, *STEPS, *BATCHES, INTRUDERS, ON_SMOLLM2)
