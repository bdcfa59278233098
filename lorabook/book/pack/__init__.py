"""The teacher's side: a sheet of exercises is made, handed out, graded without trust, explained and exported.

    sheet.py         hw1.toml, read and checked; the key from which hidden cases are drawn
    release.py       the notebook that students get
    submissions.py   what came back: folders, or the zip of a learning platform
    notebook.py      the code of a submission, whatever shape it is in
    grade.py         each item in a child of its own; one result file a student
    parts.py         an assignment: its cells, and its parts graded each on its own
    cells.py         nbgrader's metadata; safe.py, what a student may be told
    feedback.py      what a student gets back; nothing hidden is in it
    scores.py        the tables for the teacher, with what was decided by hand
    selftest.py      the sheet tried on its own solutions, on stubs, and on hostile answers

How an answer is observed and judged is `book/classroom`; the exercises are `book/exercises`, the assignments
`book/assignments`.
"""
