"""What holds of LongLoRA, and what is only said of it."""

from lorabook.claims.longlora.cost import *
from lorabook.claims.longlora.interpolation import *
from lorabook.claims.longlora.shifted import *
from lorabook.claims.longlora.use import *

ABOUT = "LongLoRA"
AXIS = "attention"
ORACLE = "authors' roll written out, dense mask, transformers' linear rope"
PARAMETERS = "r(d_in + d_out), norms and embedding"
