"""What holds of QDoRA, and what is only said of it."""

from lorabook.claims.qdora.form import *

ABOUT = "QDoRA"
AXIS = "form"
ORACLE = "PEFT on bitsandbytes"
PARAMETERS = "as DoRA"
