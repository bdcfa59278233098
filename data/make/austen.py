"""Jane Austen's six novels, out of the Debian package r-cran-janeaustenr, without R.

R keeps the novels in a lazy-load database: Rdata.rdx (gzip) says where each object lies in Rdata.rdb, where it is a
4-byte length and a zlib stream of R's serialisation (XDR). Each novel is a character vector of lines.

Source: R Internals, section 1.8 (serialization formats); the package's own man pages for the texts.
"""

import gzip
import re
import struct
import zlib
from pathlib import Path

from debian_package import member

NOVELS = ("emma", "mansfieldpark", "northangerabbey", "persuasion", "prideprejudice", "sensesensibility")


class _Reader:
    """Read the few R types that the database uses: NULL, symbols, lists, integers, logicals and strings."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at, self.symbols = raw, 0, []
        self._take(2)
        version = self._ints(3)[0]
        if version == 3:
            self._take(self._ints(1)[0])

    def _take(self, n: int) -> bytes:
        self.at += n
        return self.raw[self.at - n : self.at]

    def _ints(self, n: int) -> tuple[int, ...]:
        return struct.unpack(f">{n}i", self._take(4 * n))

    def item(self) -> object:
        flags = self._ints(1)[0]
        r_type, has_attributes, has_tag = flags & 255, flags & 512, flags & 1024
        if r_type == 254:
            return None
        if r_type == 255:
            return self.symbols[(flags >> 8) - 1]
        if r_type == 1:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if r_type == 2:
            return self._pairs(has_attributes, has_tag)
        n = self._ints(1)[0]
        if r_type == 9:
            return self._take(max(n, 0)).decode("utf-8")
        if r_type in (10, 13):
            value = list(self._ints(n))
        elif r_type in (16, 19):
            value = [self.item() for _ in range(n)]
        else:
            raise ValueError(f"R type {r_type} at byte {self.at}; expected a string, integer, logical or list.")
        attributes = self.item() if has_attributes else {}
        return dict(zip(attributes["names"], value, strict=True)) if "names" in attributes else value

    def _pairs(self, has_attributes: int, has_tag: int) -> dict:
        if has_attributes:
            self.item()
        tag = self.item() if has_tag else None
        first, rest = self.item(), self.item()
        return {tag: first} | (rest or {})


def lines(deb: Path) -> dict[str, list[str]]:
    """Return the lines of each novel, as the package has them."""
    index = _Reader(gzip.decompress(member(deb, "janeaustenr/data/Rdata.rdx"))).item()
    store = member(deb, "janeaustenr/data/Rdata.rdb")
    novels = {}
    for name in NOVELS:
        at, length = index["variables"][name]
        novels[name] = _Reader(zlib.decompress(store[at + 4 : at + length])).item()
    return novels


def paragraphs(novel: list[str]) -> str:
    """Return a novel with one paragraph a line, without the transcribers' marks of italics."""
    text = re.sub(r"\n[ \t]*\n\s*", "\0", "\n".join(line.strip() for line in novel).strip())
    text = re.sub(r"[_\s]+", lambda m: " " if m[0].strip("_") else "", text)
    return text.replace("\0", "\n") + "\n"


def extract(deb: Path) -> str:
    """Return all six novels as one text, a paragraph a line, a blank line between novels."""
    return "\n".join(paragraphs(novel) for novel in lines(deb).values())
