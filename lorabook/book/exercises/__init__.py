"""The chapters' exercises, one file each: prompt, cases, right answer, known mistakes, hints.

    from lorabook.book.exercises import scale
    book.check(scale.EXERCISE, delta_w)

A solution is written once, in the chapter's source, between `### BEGIN SOLUTION` and `### END SOLUTION`. Nothing is
imported here: a grader's child process loads `book/classroom` and never a file of this folder.
"""
