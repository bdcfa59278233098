"""The King James Bible, out of the Debian package sword-text-kjv.

A SWORD zText module: X.bzz holds zlib blocks, X.bzs (offset, size, full size) says where they lie, and X.bzv (block,
offset, size) where each verse lies in its block, in the order of the canon. A verse is OSIS markup.

Source: the SWORD project's file format notes for zText; the module's own .conf for its markup and licence.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from debian_package import member

# Notes are the editors', not the text; titles in capitals name books, and Psalm 119's name Hebrew letters.
DROPPED = re.compile(r"<note\b.*?</note>|<title(?![^>]*canonical)[^>]*>.*?</title>", re.DOTALL)
CHAPTER = re.compile(r"<chapter[^>]* sID=")
TAG = re.compile(r"<[^>]*>")
# The module's converter left a few marks of the format it came from (\nd for the divine name).
LEFTOVER = re.compile(r"\\+\+?nd\*?\s?|¶")


def raw_verses(deb: Path) -> Iterator[str]:
    """Return every entry of the module, markup and all: verses, and the empty slots and headings between them."""
    for testament in ("ot", "nt"):
        blocks, sizes, verses = (member(deb, f"/{testament}.{ending}") for ending in ("bzz", "bzs", "bzv"))
        texts = [zlib.decompress(blocks[at : at + size]) for at, size, _ in struct.iter_unpack("<III", sizes)]
        for block, at, size in struct.iter_unpack("<IIH", verses):
            yield texts[block][at : at + size].decode("utf-8")


def plain(verse: str) -> str:
    """Return one verse without its markup, every space kept; quotes and dashes become ASCII, as in Austen."""
    text = LEFTOVER.sub("", TAG.sub("", DROPPED.sub("", verse))).replace("’", "'").replace("—", "--")
    return re.sub(r"\s+", " ", text).strip()


def extract(deb: Path) -> str:
    """Return the whole text, a verse a line, a blank line before each chapter."""
    lines: list[str] = []
    for verse in raw_verses(deb):
        if CHAPTER.search(verse) and lines and lines[-1]:
            lines.append("")
        if text := plain(verse):
            lines.append(text)
    return "\n".join(lines) + "\n"
