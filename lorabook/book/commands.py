"""The commands of `lorabook`, in the order of its help: what each takes, and which function of the book answers.

A command imports what it needs when it runs, so that `--help` answers at once.
"""

from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import ClassVar, final


class Command(ABC):
    """One command: its line in the help of all, the first line of its own help, its arguments, and what it does."""

    name: ClassVar[str]
    help: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what stands behind the command's name."""

    @abstractmethod
    def run(self, options: Namespace) -> int:
        """Do it; return the exit status."""


@final
class Lab(Command):
    """`lorabook lab`."""

    name = "lab"
    help = "open the book in JupyterLab"
    description = "Open the book in JupyterLab, on this machine only, behind a token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "chapter", nargs="?", metavar="CHAPTER", help="its number or name: 2, 02 or lora (default: 00)"
        )
        parser.add_argument("--port", type=int, metavar="N", help="listen on this port (default: the first free one)")
        parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
        parser.add_argument("--folder", type=Path, metavar="DIR", help="open the notebooks in DIR, not the book's own")

    def run(self, options: Namespace) -> int:
        from lorabook.book.lab import open_book

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
        parser.add_argument("--json", action="store_true", help="one JSON object per line, for programs")
        parser.add_argument(
            "--write",
            type=Path,
            metavar="FILE",
            action="append",
            default=[],
            help="write the ledger to FILE.md, FILE.html or FILE.json as well; may be given more than once",
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book.ledger import check

        return check(options.pattern, options.json, options.write)


@final
class List(Command):
    """`lorabook list`."""

    name = "list"
    help = "the variants, by the axis they move on"
    description = "List every variant under the axes on which it differs from LoRA."

    def add_arguments(self, parser: ArgumentParser) -> None:
        layout = parser.add_mutually_exclusive_group()
        layout.add_argument("--json", action="store_true", help="one JSON object, for programs")
        layout.add_argument("--table", action="store_true", help="what proves each, as a Markdown table")

    def run(self, options: Namespace) -> int:
        from lorabook.book.listing import as_json, as_text, table

        print(table() if options.table else as_json() if options.json else as_text())
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


@final
class Build(Command):
    """`lorabook build`."""

    name = "build"
    help = "for authors: execute notebooks/src into notebooks"
    description = "Execute chapter sources and write their notebooks, offline."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="", metavar="NAME", help="only chapters with this in their name")
        parser.add_argument(
            "--check", action="store_true", help="build nothing; exit with 1 if a notebook is out of step"
        )
        parser.add_argument(
            "--folder", type=Path, metavar="DIR", help="the folder that holds src/ (default: the book's)"
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book.build import build_chapters, report_out_of_step
        from lorabook.models.paths import notebooks_dir

        folder = options.folder or notebooks_dir()
        return report_out_of_step(folder) if options.check else build_chapters(folder, options.name)


@final
class Arena(Command):
    """`lorabook arena`."""

    name = "arena"
    help = "for authors: compare all variants, and record it"
    description = (
        "Run what the record of comparisons lacks, on Dask; Ctrl-C keeps what is done. With --list, --check or "
        "--export: read the record."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this contender, beside LoRA")
        parser.add_argument("--task", action="append", default=[], metavar="NAME", help="this task alone")
        parser.add_argument(
            "--budget", metavar="NAME", choices=("equal", "own"), help="equal, or own: the paper's size"
        )
        parser.add_argument(
            "--experiment", action="append", default=[], metavar="NAME", help="what this experiment needs alone"
        )
        parser.add_argument(
            "--workers", type=int, default=2, metavar="N", help="processes on this machine (default: 2)"
        )
        parser.add_argument("--scheduler", metavar="ADDRESS", help="of a running Dask scheduler, tcp://host:8786")
        parser.add_argument("--record", type=Path, metavar="DIR", help="the record's folder (default: the book's)")
        parser.add_argument("--seed", type=int, default=0, metavar="N", help="which rows --check draws (default: 0)")
        does = parser.add_mutually_exclusive_group()
        does.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")
        does.add_argument("--list", action="store_true", help="print each contender's score, spread, regret and cost")
        does.add_argument("--answers", action="store_true", help="work out the nine questions, and keep the answers")
        does.add_argument("--check", type=int, metavar="K", help="run K rows again; exit with 1 if one differs")
        does.add_argument("--export", type=Path, metavar="FILE", help="write the rows as CSV")

    def run(self, options: Namespace) -> int:
        from lorabook.book import arena

        if options.list:
            return arena.show(options.record)
        if options.answers:
            return arena.answers(options.record)
        if options.check is not None:
            return arena.check(options.check, options.seed, options.record)
        if options.export is not None:
            return arena.write(options.export, options.record)
        return arena.run_sweep(
            options.only,
            options.task,
            options.budget,
            options.experiment,
            options.workers,
            options.scheduler,
            options.record,
            options.dry_run,
        )


COMMANDS: tuple[Command, ...] = (Lab(), Doctor(), Check(), List(), Figures(), Arena(), Pretrain(), Build())
"""In the order of the help: what a reader needs first stands first."""
