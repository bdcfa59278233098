"""What holds of memory, and what is only said of it."""

from lorabook.claims.memory.cards import *
from lorabook.claims.memory.memory import *
from lorabook.claims.memory.phases import *
from lorabook.claims.memory.rank import *

ABOUT = "memory"
