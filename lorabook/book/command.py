"""What a command of `lorabook` is."""

from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from typing import ClassVar


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
