"""What a chapter calls, under one name: predictions, explorers, cards, exercises.

    import lorabook as lb
    from lorabook.book import reading as book
    guess = book.predict("What share … ?", book.Steps("energy in 8 directions", tuple(range(0, 101, 5)), "%"))

Not in the package's own `__init__`: the command line passes through that, and must not wait for widgets. What only one
chapter draws or asks stays in a file of that chapter: `figures/`, `exercises/`.

Importing it leaves PyTorch one thread of this kernel; `book.set_num_threads(n)` in a cell gives it more.
"""

from torch import set_num_threads as set_num_threads
from tqdm.auto import tqdm as progress  # noqa: F401

from lorabook.book.classroom.cards import hint as hint
from lorabook.book.classroom.cards import show as show
from lorabook.book.classroom.check import check as check
from lorabook.book.classroom.solutions import solution as solution
from lorabook.book.explore.allocation import allocation as allocation
from lorabook.book.explore.axis_map import axis_map as axis_map
from lorabook.book.explore.axis_map import axis_strip as axis_strip
from lorabook.book.explore.baselines import baselines as baselines
from lorabook.book.explore.blocks import blocks as blocks
from lorabook.book.explore.chat_mask import chat_mask as chat_mask
from lorabook.book.explore.choose import choose as choose
from lorabook.book.explore.clinic import clinic as clinic
from lorabook.book.explore.codebook import codebook as codebook
from lorabook.book.explore.columns import columns as columns
from lorabook.book.explore.cuts import cut_curves as cut_curves
from lorabook.book.explore.drop import who_keeps as who_keeps
from lorabook.book.explore.forgetting import forgetting as forgetting
from lorabook.book.explore.forms import forms as forms
from lorabook.book.explore.groups import shifted_groups as shifted_groups
from lorabook.book.explore.kept import kept_for_backward as kept_for_backward
from lorabook.book.explore.kronecker import kronecker as kronecker
from lorabook.book.explore.measured import measured as measured
from lorabook.book.explore.memory import memory_calculator as memory_calculator
from lorabook.book.explore.one_row import one_row as one_row
from lorabook.book.explore.predict import predict as predict
from lorabook.book.explore.principal import principal as principal
from lorabook.book.explore.privacy import private_federation as private_federation
from lorabook.book.explore.ranks import rank_curves as rank_curves
from lorabook.book.explore.rates import rate_plane as rate_plane
from lorabook.book.explore.scale import scale_law as scale_law
from lorabook.book.explore.serving import serving_days as serving_days
from lorabook.book.explore.spectrum import spectrum as spectrum
from lorabook.book.explore.standings import standings as standings
from lorabook.book.explore.state import Choice as Choice
from lorabook.book.explore.state import Steps as Steps
from lorabook.book.explore.telescoping import telescoping as telescoping
from lorabook.book.explore.terms import terms as terms
from lorabook.book.explore.training import training_explorer as training_explorer
from lorabook.book.explore.triangle import triangle as triangle
from lorabook.book.explore.vectors import shared_vectors as shared_vectors
from lorabook.book.explore.where import one_budget as one_budget
from lorabook.book.figures.gallery import diagram as diagram
from lorabook.book.overview import contents as contents
from lorabook.book.overview import environment as environment
from lorabook.book.overview import ledger as ledger
from lorabook.book.overview import questions as questions
from lorabook.book.reader_progress import your_progress as your_progress
from lorabook.book.shown import fold as fold
from lorabook.book.shown import table as table
from lorabook.book.shown import verdicts as verdicts
from lorabook.claims.card import card as card
from lorabook.claims.card import source as source

# The one thing that an import does here, because a chapter is run by many programs, and this is what all of them pass.
# Sums are ordered by the threads, so that stored numbers hold for one number of them. And threads spin while they wait
# for each other: on two cores with another program at work, two took 63 to 79 s over chapter 00, one takes 17 to 19.
set_num_threads(1)
