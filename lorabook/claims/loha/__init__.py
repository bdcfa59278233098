"""What holds of LoHa, and what is only said of it."""

from lorabook.claims.loha.cost import *
from lorabook.claims.loha.form import *

ABOUT = "LoHa"
AXIS = "form"
ORACLE = "PEFT, LyCORIS"
PARAMETERS = "2r(d_in + d_out)"
