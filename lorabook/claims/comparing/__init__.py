"""What holds of comparing two ways of training, and what is only said of it."""

from lorabook.claims.comparing.seeds import *

ABOUT = "comparing"
