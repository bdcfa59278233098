"""What holds of differential privacy, and what is only said of it."""

from lorabook.claims.privacy.accountant import *
from lorabook.claims.privacy.private import *

ABOUT = "differential privacy"
AXIS = "optim"
ORACLE = "Opacus, formula written out"
PARAMETERS = "as LoRA"
CALL = "lorabook.axes.optim.private.Private"
SAYS = "DP-SGD: every example's gradient is clipped to C, and their sum gets noise of size σC."
