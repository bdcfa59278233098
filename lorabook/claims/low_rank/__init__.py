"""What holds of low rank, and what is only said of it."""

from lorabook.claims.low_rank.decay import *
from lorabook.claims.low_rank.fit import *
from lorabook.claims.low_rank.spectrum import *
from lorabook.claims.low_rank.truncation import *

ABOUT = "low rank"
