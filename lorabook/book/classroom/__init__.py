"""The classroom: exercises with instant checks that say which mistake was made, and hints in a ladder.

    from lorabook.book import reading as book
    from lorabook.book.exercises import scale
    book.show(scale.EXERCISE)
    book.check(scale.EXERCISE, delta_w)

The exercises are in `book/exercises`, one file each. Here is what checks them. An exercise has three parts, each pure:

    cases(seed)             inputs                                      exercise.py
    observe(function, …)    what a function gives, as plain numbers     observe.py, traced.py
    judge(cases, observed)  (code, text, share of the points)           judge.py

`check` runs all three in the notebook. A grader runs only `observe` in a child process (child.py), which never loads
`book/exercises`: no file of this folder may import from there.
"""
