"""The `lorabook` command: it reads the command line, runs one command, and turns what went wrong into one line."""

import os
import sys
from argparse import ArgumentParser

from lorabook.book.commands import COMMANDS
from lorabook.book.refused import Refused


def parser() -> ArgumentParser:
    """Return the parser of every command, its arguments and its help."""
    whole = ArgumentParser(
        prog="lorabook",
        description="LoRA and its variants as a book you run.",
        epilog="Start with `lorabook lab`. If something does not work, `lorabook doctor` says what to do.",
    )
    subparsers = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = subparsers.add_parser(command.name, help=command.help, description=command.description)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    return whole


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its status: 0 done, 1 a check failed, 2 bad input (a line says which), 130 Ctrl-C."""
    options = parser().parse_args(argv)
    try:
        return options.run(options)
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
