"""Every explorer of the book, small enough for a test: a new one is added to BUILD and is swept with the others."""

import torch
from torch import Tensor

from lorabook.explore.codebook import codebook
from lorabook.explore.memory import memory_calculator
from lorabook.explore.scale import scale_law
from lorabook.explore.spectrum import spectrum
from lorabook.explore.training import on_workbenches
from lorabook.explore.wire import Explorer
from lorabook.explore.workbench import Workbench
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.loaded import Loaded
from lorabook.tasks.text import Corpus
from lorabook.tasks.vocabulary import Vocabulary
