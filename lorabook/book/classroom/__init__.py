"""The classroom: exercises with instant checks that say which mistake was made, and hints in a ladder.

    from lorabook.book import classroom, reading as book
    book.show(classroom.scale.EXERCISE)
    book.check(classroom.scale.EXERCISE, delta_w)

One file per exercise holds its prompt, hints, checks, and a bank of wrong answers with the diagnosis each must get. A
solution is written once, in the chapter's source, between `### BEGIN SOLUTION` and `### END SOLUTION`.
"""

from lorabook.book.classroom import count as count
from lorabook.book.classroom import scale as scale
from lorabook.book.classroom import two_path as two_path
