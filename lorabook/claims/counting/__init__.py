"""What holds of counting, and what is only said of it."""

from lorabook.claims.counting.count import *

ABOUT = "counting"
