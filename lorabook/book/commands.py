"""The commands of `lorabook`, in the order of its help: what each takes, and which function of the book answers.

A command imports what it needs when it runs, so that `--help` answers at once.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import final

from lorabook.book.author_commands import Arena, Build, Measure, Site
from lorabook.book.command import Command
from lorabook.book.teacher_commands import Classroom


@final
class Lab(Command):
    """`lorabook lab`."""

    name = "lab"
    help = "open the book in JupyterLab"
    description = "Open the book in JupyterLab, on this machine only, behind a token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "chapter",
            nargs="?",
            metavar="CHAPTER",
            help="its number, its name or a variant: 2, lora, qdora (default: 00)",
        )
        parser.add_argument("--port", type=int, metavar="N", help="listen on this port (default: the first free one)")
        parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--folder", type=Path, metavar="DIR", help="open the notebooks in DIR, not the book's own")
        where.add_argument(
            "--new-editions",
            action="store_true",
            help="after an upgrade: put newer editions of chapters that you worked in beside yours first",
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book.lab import open_book, put_new_editions_beside

        if options.new_editions:
            put_new_editions_beside()
        return open_book(options.chapter, options.port, not options.no_browser, options.folder)


@final
class Doctor(Command):
    """`lorabook doctor`."""

    name = "doctor"
    help = "check this environment and say what to do about each problem"
    description = "Check this environment. Exits with 1 when something the book needs is missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """It takes none."""

    def run(self, options: Namespace) -> int:
        from lorabook.book.doctor import report

        return report()


@final
class Check(Command):
    """`lorabook check`."""

    name = "check"
    help = "verify the book's claims and print the ledger"
    description = "Compute both sides of every claim and compare them. Exits with 1 when one fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "pattern",
            nargs="?",
            default="",
            metavar="PATTERN",
            help="only claims whose variant, name or statement contains this text",
        )
        layout = parser.add_mutually_exclusive_group()
        layout.add_argument("--json", action="store_true", help="one JSON list, for programs")
        layout.add_argument("--jsonl", action="store_true", help="one JSON object a line, each as it is settled")
        parser.add_argument(
            "--write",
            type=Path,
            metavar="FILE",
            action="append",
            default=[],
            help="write the ledger to FILE.md, FILE.html or FILE.json as well; may be given more than once",
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book import ledger_printer as printer
        from lorabook.book.ledger import check

        layout = printer.Document() if options.json else printer.Stream() if options.jsonl else printer.Text()
        return check(options.pattern, layout, options.write)


@final
class List(Command):
    """`lorabook list`."""

    name = "list"
    help = "the variants, by the axis they move on, or one of them whole"
    description = "List every variant under the axis of its main idea, or print all that the book has on one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        layout = parser.add_mutually_exclusive_group()
        layout.add_argument("variant", nargs="?", metavar="VARIANT", help="one of them: dora, lora+, s-lora")
        layout.add_argument("--json", action="store_true", help="one JSON object, for programs")
        layout.add_argument("--table", action="store_true", help="what proves each, as a Markdown table")
        layout.add_argument("--chapters", action="store_true", help="the chapters, as a Markdown table")

    def run(self, options: Namespace) -> int:
        from lorabook.book.chapters import contents
        from lorabook.book.listing import as_json, as_text, one, table
        from lorabook.models.paths import notebooks_dir

        if options.chapters:
            print(contents(notebooks_dir(), "notebooks/"))
            return 0
        if options.variant:
            print(one(options.variant))
            return 0
        print(table() if options.table else as_json() if options.json else as_text())
        return 0


@final
class Progress(Command):
    """`lorabook progress`."""

    name = "progress"
    help = "what you ran, predicted and solved so far"
    description = (
        "Read your notebooks as you saved them: the cells you ran, your predictions, the exercises you solved."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--folder", type=Path, metavar="DIR", help="where your notebooks are (default: as for lab)")

    def run(self, options: Namespace) -> int:
        from lorabook.book.lab import own_folder
        from lorabook.book.reader_progress import progress_table
        from lorabook.book.refused import Refused

        try:
            print(progress_table(options.folder or own_folder()))
        except ValueError as error:
            raise Refused(f"{error}: move this file away, and `lorabook lab` copies the chapter anew") from error
        return 0


@final
class Figures(Command):
    """`lorabook figures`."""

    name = "figures"
    help = "draw the diagram of every variant, and the overviews"
    description = "Draw every diagram as SVG, from the library's own objects."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--out",
            type=Path,
            metavar="DIR",
            default=Path("figures"),
            help="draw into this folder (default: ./figures)",
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book.figures.gallery import draw_all

        print("\n".join(map(str, draw_all(options.out))))
        return 0


@final
class Pretrain(Command):
    """`lorabook pretrain`."""

    name = "pretrain"
    help = "train the shipped base model again from its corpus"
    description = "Reproduce data/'s base model. It takes about half an hour on two free cores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--out",
            type=Path,
            metavar="DIR",
            default=Path("lorabook-pretrained"),
            help="where to write (default: ./lorabook-pretrained); the shipped files stay as they are",
        )

    def run(self, options: Namespace) -> int:
        from lorabook.tasks.pretrain import pretrain

        pretrain(options.out)
        return 0


COMMANDS: tuple[Command, ...] = (
    Lab(),
    Doctor(),
    Check(),
    List(),
    Progress(),
    Figures(),
    Classroom(),
    Arena(),
    Pretrain(),
    Measure(),
    Build(),
    Site(),
)
"""In the order of the help: what a reader needs first stands first."""
