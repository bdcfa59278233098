"""The `lorabook` command. Each sub-command imports what it needs when it runs, so that `--help` answers at once."""

import argparse
import json
import os
import sys
from pathlib import Path

from lorabook.book.refused import Refused


def parser() -> argparse.ArgumentParser:
    """Every command, its arguments and its help."""
    top = argparse.ArgumentParser(
        prog="lorabook",
        description="LoRA and its variants as a book you run.",
        epilog="Start with `lorabook lab`. If something does not work, `lorabook doctor` says what to do.",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_lab(commands)
    _add_doctor(commands)
    _add_check(commands)
    _add_list(commands)
    _add_figures(commands)
    _add_pretrain(commands)
    _add_build(commands)
    return top


def _add_lab(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "lab",
        help="open the book in JupyterLab",
        description="Open the book in JupyterLab, on this machine only, behind a token.",
    )
    command.add_argument(
        "chapter", nargs="?", metavar="CHAPTER", help="its number or name: 2, 02 or lora (default: 00)"
    )
    command.add_argument("--port", type=int, metavar="N", help="listen on this port (default: the first free one)")
    command.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    command.add_argument("--folder", type=Path, metavar="DIR", help="open the notebooks in DIR, not the book's own")
    command.set_defaults(run=_lab)


def _lab(given: argparse.Namespace) -> int:
    from lorabook.book.lab import open_book

    return open_book(given.chapter, given.port, not given.no_browser, given.folder)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "doctor",
        help="check this environment and say what to do about each problem",
        description="Check this environment. Exits with 1 when something the book needs is missing.",
    )
    command.set_defaults(run=lambda _given: _doctor())


def _doctor() -> int:
    from lorabook.book.doctor import report

    return report()


def _add_check(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "check",
        help="verify the book's claims and print the ledger",
        description="Compute both sides of every claim and compare them. Exits with 1 when one fails.",
    )
    command.add_argument(
        "pattern",
        nargs="?",
        default="",
        metavar="PATTERN",
        help="only claims whose variant, name or statement contains this text",
    )
    command.add_argument("--json", action="store_true", help="one JSON object per line, for programs")
    command.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="write the ledger to FILE.md, FILE.html or FILE.json as well; may be given more than once",
    )
    command.set_defaults(run=_check)


def _check(given: argparse.Namespace) -> int:
    from lorabook.book.ledger import check

    return check(given.pattern, given.json, given.write)


def _add_list(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "list",
        help="the variants, by the axis they move on",
        description="List every variant under the axes on which it differs from LoRA.",
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object, for programs")
    form.add_argument("--table", action="store_true", help="what proves each, as a Markdown table")
    command.set_defaults(run=_list)


def _list(given: argparse.Namespace) -> int:
    from lorabook.book.listing import table, variants

    if given.table:
        print(table())
        return 0
    by_axis = variants()
    if given.json:
        print(json.dumps(by_axis, indent=2, ensure_ascii=False))
        return 0
    for axis, recipes in by_axis.items():
        print(axis)
        for recipe in recipes:
            print(f"  {recipe['name']:14}{recipe['about']}\n{'':16}changes: {recipe['changes']}")
    return 0


def _add_figures(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "figures",
        help="draw the diagram of every variant, and the overviews",
        description="Draw every diagram as SVG, from the library's own objects.",
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("figures"), help="draw into this folder (default: ./figures)"
    )
    command.set_defaults(run=_figures)


def _figures(given: argparse.Namespace) -> int:
    from lorabook.book.figures.gallery import draw_all

    drawn = draw_all(given.out)
    print("\n".join(str(file) for file in drawn))
    return 0


def _add_pretrain(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "pretrain",
        help="train the shipped base model again from its corpus",
        description="Reproduce data/'s base model. It takes about half an hour on two free cores.",
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("lorabook-pretrained"),
        help="where to write (default: ./lorabook-pretrained); the shipped files stay as they are",
    )
    command.set_defaults(run=_pretrain)


def _pretrain(given: argparse.Namespace) -> int:
    from lorabook.tasks.pretrain import pretrain

    pretrain(given.out)
    return 0


def _add_build(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "build",
        help="for authors: execute notebooks/src into notebooks",
        description="Execute chapter sources and write their notebooks, offline.",
    )
    command.add_argument("name", nargs="?", default="", metavar="NAME", help="only chapters with this in their name")
    command.add_argument("--check", action="store_true", help="build nothing; exit with 1 if a notebook is out of step")
    command.add_argument("--folder", type=Path, metavar="DIR", help="the folder that holds src/ (default: the book's)")
    command.set_defaults(run=_build)


def _build(given: argparse.Namespace) -> int:
    from lorabook.book import build as book
    from lorabook.models import paths

    folder = given.folder or paths.notebooks_dir()
    if given.check:
        differences = list(book.out_of_step(folder))
        print("\n".join(differences) or "Sources and notebooks are in step.")
        return int(bool(differences))
    chosen = book.sources(folder, given.name)
    if not chosen:
        names = ", ".join(path.stem for path in book.sources(folder)) or "none"
        raise Refused(f"no chapter source has {given.name!r} in its name; the sources are: {names}")
    for source in chosen:
        print(f"building {source.stem} …", flush=True)
        target = book.build(source, folder)
        print(f"  {target} {target.stat().st_size / 1000:.0f} kB", flush=True)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its status: 0 done, 1 a check failed, 2 bad input (a line says which), 130 Ctrl-C."""
    given = parser().parse_args(argv)
    try:
        return given.run(given)
    except KeyboardInterrupt:
        print("\nlorabook: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Refused, FileNotFoundError) as error:
        print(f"lorabook: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
