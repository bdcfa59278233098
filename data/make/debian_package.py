"""Read files out of a Debian package with nothing but the standard library.

A .deb is an `ar` archive: an 8-byte magic, then members of a 60-byte header (16 bytes of name, size at 48) and a body
padded to an even length. Its files are in the member data.tar.xz.
"""

import io
import tarfile
from pathlib import Path


def members(deb: Path) -> dict[str, bytes]:
    """Return every regular file of a Debian package by its path.

    Raises:
        ValueError: the file is not a Debian package.
    """
    raw = Path(deb).read_bytes()
    if raw[:8] != b"!<arch>\n":
        raise ValueError(f"{deb} is not a Debian package; get one with `apt-get download PACKAGE`.")
    at = 8
    while at < len(raw):
        name = raw[at : at + 16].decode("ascii").strip().rstrip("/")
        size = int(raw[at + 48 : at + 58])
        body = raw[at + 60 : at + 60 + size]
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                return {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isfile()}
        at += 60 + size + size % 2
    raise ValueError(f"{deb} holds no data.tar member; download it again with `apt-get download PACKAGE`.")


def member(deb: Path, ending: str) -> bytes:
    """Return the one file of a Debian package whose path ends in `ending`.

    Raises:
        ValueError: none does, or several do.
    """
    matching = {name: body for name, body in members(deb).items() if name.endswith(ending)}
    if len(matching) != 1:
        raise ValueError(f"{deb}: expected one file ending in {ending!r}, got {sorted(matching)}.")
    return next(iter(matching.values()))
