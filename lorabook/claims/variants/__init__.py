"""What holds of the variants as a whole, and what is only said of them."""

from lorabook.claims.variants.attributions import *
from lorabook.claims.variants.listing import *

ABOUT = "the variants"
