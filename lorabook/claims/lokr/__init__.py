"""What holds of LoKr, and what is only said of it."""

from lorabook.claims.lokr.form import *

ABOUT = "LoKr"
AXIS = "form"
ORACLE = "PEFT, LyCORIS"
PARAMETERS = "p·m + r(k + n), where p·k = d_out and m·n = d_in"
