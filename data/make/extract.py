"""Make the texts and the tokenizer in data/ again, from the packages that hold them; no part of an installation.

apt-get download r-cran-janeaustenr sword-text-kjv
python data/make/extract.py r-cran-janeaustenr_*.deb sword-text-kjv_*.deb data
"""

import lzma
import sys
from pathlib import Path

import austen
import kjv

from lorabook.models.vocabulary import train_vocabulary
from lorabook.tasks.text import split


def compress(text: str) -> bytes:
    """Return a text compressed, so that equal texts give equal bytes."""
    return lzma.compress(text.encode("utf-8"), preset=9 | lzma.PRESET_EXTREME)


def extract(austen_deb: Path, kjv_deb: Path, out: Path) -> None:
    """Write austen.txt.xz, kjv.txt.xz and tokenizer.json; the tokenizer sees Austen's training part only."""
    novels = austen.extract(austen_deb)
    (out / "austen.txt.xz").write_bytes(compress(novels))
    (out / "kjv.txt.xz").write_bytes(compress(kjv.extract(kjv_deb)))
    train_vocabulary(split(novels)[0], 1024, out / "tokenizer.json")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python data/make/extract.py JANEAUSTENR.deb KJV.deb OUT_FOLDER")
    extract(*map(Path, sys.argv[1:]))
