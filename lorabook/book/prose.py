"""What a reader reads of a notebook: words, headings and code blocks of Markdown that no fold hides."""

import re
from dataclasses import dataclass

FOLD = re.compile(r"<details\b.*?</details>", re.DOTALL | re.IGNORECASE)
CODE_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"\]\([^)]*\)")
TAG = re.compile(r"<[^>\n]+>")
WORD = re.compile(r"[^\s|]*\w[^\s|]*")
HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Heading:
    """A heading, and how deep it stands: 1 for the title."""

    level: int
    text: str


def unfolded(markdown: str) -> str:
    """Return Markdown without what stands in `<details>`."""
    return FOLD.sub("", markdown)


def words(markdown: str) -> int:
    """Return how many words of prose a reader reads; a formula is one, code blocks are none."""
    text = CODE_BLOCK.sub("", unfolded(markdown))
    return len(WORD.findall(TAG.sub("", LINK.sub("]", FORMULA.sub("formula", text)))))


def code_block_lines(markdown: str) -> int:
    """Return how many lines the code blocks have that a reader sees, empty ones left out."""
    return sum(filled_lines(block) for block in CODE_BLOCK.findall(unfolded(markdown)))


def filled_lines(code: str) -> int:
    """Return how many lines are not empty."""
    return sum(bool(line.strip()) for line in code.splitlines())


def headings(markdown: str) -> list[Heading]:
    """Return the headings outside of folds and code blocks."""
    return [
        Heading(len(marks), text.strip()) for marks, text in HEADING.findall(CODE_BLOCK.sub("", unfolded(markdown)))
    ]
