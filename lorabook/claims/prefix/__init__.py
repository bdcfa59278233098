"""What holds of prefix, and what is only said of it."""

from lorabook.claims.prefix.key_value import *

ABOUT = "prefix"
AXIS = "baselines"
ORACLE = "PEFT"
PARAMETERS = "2·n·layers·kv_heads·d_head"
CALL = "lb.insert_prefix"
SAYS = "Prefix tuning: n trained keys and values before every attention's own."
