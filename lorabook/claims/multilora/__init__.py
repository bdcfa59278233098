"""What holds of MultiLoRA, and what is only said of it."""

from lorabook.claims.multilora.form import *

ABOUT = "MultiLoRA"
AXIS = "form"
ORACLE = "formula written out"
PARAMETERS = "n(r(d_in + d_out) + d_out)"
