"""What a chapter calls, under one name: predictions, explorers, exercises.

    import lorabook as lb
    from lorabook.book import reading as book
    guess = book.predict("What share … ?", book.Steps("energy in 8 directions", tuple(range(0, 101, 5)), "%"))

Not in the package's own `__init__`: the command line passes through that, and must not wait for widgets. What only one
chapter draws or asks stays in a file of that chapter: `figures/`, `classroom/`.
"""

from lorabook.book.classroom.exercise import check as check
from lorabook.book.classroom.exercise import hint as hint
from lorabook.book.classroom.exercise import show as show
from lorabook.book.classroom.solutions import solution as solution
from lorabook.book.explore.axis_map import axis_map as axis_map
from lorabook.book.explore.axis_map import displacements as displacements
from lorabook.book.explore.codebook import codebook as codebook
from lorabook.book.explore.measured import measured as measured
from lorabook.book.explore.memory import memory_calculator as memory_calculator
from lorabook.book.explore.predict import predict as predict
from lorabook.book.explore.scale import scale_law as scale_law
from lorabook.book.explore.spectrum import spectrum as spectrum
from lorabook.book.explore.state import Choice as Choice
from lorabook.book.explore.state import Steps as Steps
from lorabook.book.explore.training import training_explorer as training_explorer
