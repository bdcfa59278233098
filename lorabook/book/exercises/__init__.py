"""The chapters' exercises, one file each: prompt, cases, right answer, known mistakes, hints.

    from lorabook.book.exercises import scale
    book.check(scale.EXERCISE, delta_w)

A new exercise is one file `<subject>.py` here, and `tests/answers/<subject>.py`:

1. a frozen dataclass, the case, whose property `given` returns the function's inputs by name, tensors as `Array`;
2. `draw_cases(stream)`, which returns a few cases: sizes that all differ, and one where every product has a shape;
3. `answer(case, **choices)`, the right value, in plain floats; each choice is one place to go wrong, right by default;
4. `MISTAKES`: a code, what to say, the choices it makes; two that make different choices are recognised together;
5. `EXERCISE = Exercise(title=…, function=…, …)`. A function that returns two values has `observe=Values((…))` and a
   `measure`; a forward pass whose products and gradients matter has `observe=forward_pass` and `conditions`; what has
   no one right value has `symptoms`.

The bank has a cell `# %% code: what it is` for each answer: ten right ones in unusual styles, and every mistake. The
tests find both files by themselves, and hold each answer to its code in the notebook's check and in a grader's child.

A solution is written once, in the chapter's source, between `### BEGIN SOLUTION` and `### END SOLUTION`. Nothing is
imported here: a grader's child process loads `book/classroom` and never a file of this folder.
"""
