"""What holds of adapters, and what is only said of it."""

from lorabook.claims.adapters.bottleneck import *

ABOUT = "adapters"
AXIS = "baselines"
ORACLE = "formula written out"
PARAMETERS = "2·d_out·m + d_out + m"
CALL = "lb.insert_bottlenecks"
SAYS = "Bottleneck adapter: h + W_up·σ(W_down·h + b_down) + b_up after a layer."
