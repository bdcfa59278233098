"""The commands of `lorabook` for those who write it: compare the variants, measure a chapter, build it, make pages."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import final

from lorabook.book.command import Command


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


@final
class Measure(Command):
    """`lorabook measure`."""

    name = "measure"
    help = "for authors: what a chapter costs its reader, beside what it may"
    description = "Print the measure of one chapter, or of all. Exits with 1 when a number is above its limit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("chapter", nargs="?", metavar="CHAPTER", help="as for lab; without it, all of them")
        parser.add_argument(
            "--folder", type=Path, metavar="DIR", help="the folder of the chapters (default: the book's)"
        )

    def run(self, options: Namespace) -> int:
        from lorabook.book.measure_report import report
        from lorabook.models.paths import notebooks_dir

        return report(options.folder or notebooks_dir(), options.chapter)


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
class Site(Command):
    """`lorabook site`."""

    name = "site"
    help = "for authors and teachers: the book as pages that need no server"
    description = (
        "Write the chapters as static pages that open by a double-click. A chapter is run once for its explorers."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "out",
            nargs="?",
            type=Path,
            metavar="FOLDER",
            default=Path("lorabook-site"),
            help="write the pages here (default: ./lorabook-site)",
        )
        parser.add_argument(
            "--pictures", action="store_true", help="run nothing: every explorer as its picture and its sentence"
        )
        parser.add_argument(
            "--folder", type=Path, metavar="DIR", help="the folder of the chapters (default: the book's)"
        )

    def run(self, options: Namespace) -> int:
        from functools import partial

        from lorabook.book.site.build_site import build_site, no_widgets
        from lorabook.book.site.tables import tables
        from lorabook.models.paths import notebooks_dir

        made = no_widgets if options.pictures else partial(tables, kept=Path("build") / "site")
        return build_site(options.folder or notebooks_dir(), options.out, made)
