"""What holds of differential privacy, and what is only said of it."""

from lorabook.claims.privacy.accountant import *
from lorabook.claims.privacy.private import *

ABOUT = "differential privacy"
AXIS = "optim"
ORACLE = "Opacus, formula written out"
PARAMETERS = "as LoRA"
