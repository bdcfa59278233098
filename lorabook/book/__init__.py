"""What makes the library a book: the command line, chapters, ledger, explorers, figures and the classroom.

Here belongs what a reader opens, runs or looks at, and what builds that; what computes belongs below, in the library.

    cli, commands           the `lorabook` command; lab, doctor, build, listing, ledger are what its commands do
    reading                 what a chapter calls
    head, tiers, measure    what a chapter says of itself, what it may cost its reader, and what it does cost
    explore                 pictures with controls
    exercises, classroom    exercises, and the judge that checks them
    pack                    the teacher's side: a sheet is made, handed out, graded, explained, exported
    figures, style          pictures without, and the one visual language of both
    overview                what the start page shows

Nothing is imported here: every command passes through this file before it answers.
"""
