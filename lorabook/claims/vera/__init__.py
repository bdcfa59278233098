"""What holds of VeRA, and what is only said of it."""

from lorabook.claims.vera.form import *

ABOUT = "VeRA"
AXIS = "form"
ORACLE = "PEFT"
PARAMETERS = "d_out + r"
