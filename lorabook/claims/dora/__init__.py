"""What holds of DoRA, and what is only said of it."""

from lorabook.claims.dora.cost import *
from lorabook.claims.dora.direction import *
from lorabook.claims.dora.form import *
from lorabook.claims.dora.pattern import *

ABOUT = "DoRA"
AXIS = "form"
ORACLE = "PEFT, LyCORIS"
PARAMETERS = "r(d_in + d_out) + d_out"
