"""The command of `lorabook` for those who teach: a sheet of exercises, from the first line to the last score."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import final

from lorabook.book.command import Command


@final
class Classroom(Command):
    """`lorabook classroom`."""

    name = "classroom"
    help = "for teachers: make a sheet of exercises, hand it out, grade a class"
    description = (
        "A sheet of exercises: new, release, grade, feedback, export, selftest. TEACHING.md tells the whole way."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(title="steps", metavar="STEP", dest="step", required=True)
        own = {
            "new": "make a folder with a sheet that works as it is",
            "release": "write the notebook that students get",
            "grade": "grade what came back; goes on where it was stopped",
            "feedback": "write a page for every student",
            "export": "write scores.csv and students.csv",
            "selftest": "try the sheet on its solutions, on stubs and on hostile answers",
        }
        made = {step: steps.add_parser(step, help=text, description=text) for step, text in own.items()}
        for step, one in made.items():
            one.add_argument("sheet", type=Path, metavar="SHEET", help="the sheet's folder, hw1")
            if step in ("grade", "selftest"):
                one.add_argument("--jobs", type=int, default=2, metavar="N", help="students at a time (default: 2)")
        made["new"].add_argument(
            "--exercise",
            action="append",
            metavar="NAME",
            help="an exercise of the chapters, or an assignment; may be given more than once",
        )
        made["grade"].add_argument("submissions", type=Path, metavar="DIR", help="<student>/hw1.ipynb, or a zip")
        made["grade"].add_argument("--only", metavar="STUDENT", help="grade this one alone")

    def run(self, options: Namespace) -> int:
        from lorabook.book import pack_steps

        return getattr(pack_steps, options.step)(options)
