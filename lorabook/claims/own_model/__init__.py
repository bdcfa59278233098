"""What holds of chats to train on and of files to leave with, and what is only said of them."""

from lorabook.claims.own_model.chat import *
from lorabook.claims.own_model.files import *

ABOUT = "your own model"
