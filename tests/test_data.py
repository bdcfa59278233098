"""The shipped data: what is in it, that it is clean, and that the extractors read what they say they read."""

import gzip
import importlib
import io
import re
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from lorabook.models.convnet import ConvNet
from lorabook.models.paths import data_dir, data_file
from lorabook.models.vocabulary import read_vocabulary, train_vocabulary
from lorabook.tasks import digits, text

MAKE = Path(__file__).parents[1] / "data" / "make"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vocabulary():
    return read_vocabulary(data_file("tokenizer.json"))


def test_data_is_under_16_megabytes():
    sizes = {f.name: f.stat().st_size for f in data_dir().rglob("*") if f.is_file()}
    shipped = {"austen.txt.xz", "kjv.txt.xz", "digits.csv.gz", "tokenizer.json", "tiny.safetensors", "tiny.json"}
    assert shipped <= set(sizes)
    assert sum(sizes.values()) < 16_000_000


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("austen", ["It is a truth universally acknowledged", "Emma Woodhouse, handsome, clever,"]),
        ("kjv", ["In the beginning God created the heaven", "The LORD is my shepherd; I shall not want."]),
    ],
)
def test_texts_are_whole_and_clean(name, phrases):
    content = text.read(name)
    assert 3_900_000 < len(content) < 4_300_000
    assert all(phrase in content for phrase in phrases)
    assert not re.search(r"[<>\\_¶\t]|  | \n|\n\n\n", content)
    assert not re.search(r"[a-z][,;:?!][A-Za-z]|[a-z][A-Z]", content)


def test_unknown_text_is_refused():
    with pytest.raises(ValueError, match="Unknown text 'dickens'; the book ships austen, kjv"):
        text.read("dickens")


def test_missing_text_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("lorabook.models.paths.data_dir", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"kjv\.txt\.xz"):
        text.read("kjv")


def test_vocabulary_encodes_anything(vocabulary):
    anything = "Hé! £20,000\n\n日本 \x00 \U0001f600 It is a truth"
    assert vocabulary.decode(vocabulary.encode(anything)) == anything
    assert len(vocabulary) == 1024
    assert len(vocabulary.encode("It is a truth universally acknowledged")) < 20


def test_vocabulary_is_learned_from_the_text_it_is_given(tmp_path):
    learned = train_vocabulary("aba aba aba\n" * 20, 260, tmp_path / "v.json")
    assert len(read_vocabulary(tmp_path / "v.json").encode("aba")) < 3
    assert len(learned.encode("bcd")) == 3


def test_split_keeps_every_letter_and_cuts_at_a_line_end():
    whole = text.read("kjv")
    train, val = text.split(whole)
    assert train + val == whole
    assert train.endswith("\n")
    assert 0.05 <= len(val) / len(whole) < 0.051


def test_batches_are_pieces_of_the_text_and_their_next_tokens(vocabulary):
    corpus = text.tokenize("alphabet", "abcdefghijklmnopqrstuvwxyz\n" * 30, vocabulary)
    tokens, following = next(text.batches(corpus, 5, 12, generator()))
    again = next(text.batches(corpus, 5, 12, generator()))
    assert tokens.shape == (5, 12)
    assert torch.equal(tokens[:, 1:], following[:, :-1])
    assert torch.equal(tokens, again[0])
    assert vocabulary.decode(tokens[0].tolist()) in "abcdefghijklmnopqrstuvwxyz\n" * 30
    with pytest.raises(ValueError, match="a piece needs 100001"):
        next(text.batches(corpus, 1, 100_000, generator()))


class Uniform(nn.Module):
    """A model that finds every token equally likely."""

    def __init__(self, vocab: int):
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(vocab))

    def forward(self, tokens):
        return self.zero.expand(*tokens.shape, -1)


def test_evaluate_gives_a_uniform_model_its_known_score(vocabulary):
    corpus = text.tokenize("some", text.read("kjv")[:60_000], vocabulary)
    score = text.evaluate(Uniform(1024), corpus, length=64)
    assert score.nats_per_token == pytest.approx(torch.tensor(1024.0).log().item(), rel=1e-6)
    assert score.bits_per_byte == pytest.approx(10 * len(corpus.val) / corpus.val_bytes, rel=1e-6)
    with pytest.raises(ValueError, match="a piece needs"):
        text.evaluate(Uniform(1024), corpus, length=10**6)


def test_too_short_a_text_is_refused(vocabulary):
    with pytest.raises(ValueError, match="'none' has 0 characters to train on and 1 to validate on"):
        text.tokenize("none", "a", vocabulary)


def test_uppercase_austen_shouts(vocabulary):
    corpus = text.uppercase_austen(vocabulary)
    piece = vocabulary.decode(corpus.val[:300].tolist())
    assert piece == piece.upper()


def test_digits_and_their_shifts():
    plain = digits.digits()
    assert (len(plain.train_y), len(plain.test_y)) == (1438, 359)
    assert plain.train_x.shape[1:] == (1, 8, 8)
    assert (plain.train_x.min(), plain.train_x.max()) == (0, 1)
    assert plain.test_y.bincount(minlength=10).min() >= 20
    turned, inverse, mixed = digits.rotated(plain), digits.inverted(plain), digits.permuted(plain, generator())
    assert torch.equal(turned.test_x.rot90(-1, (2, 3)), plain.test_x)
    assert torch.equal(inverse.train_x + plain.train_x, torch.ones_like(plain.train_x))
    assert torch.equal(mixed.train_x.flatten(1).sort().values, plain.train_x.flatten(1).sort().values)
    assert not torch.equal(mixed.train_x, plain.train_x)


def test_convnet_reads_digits_and_fails_when_they_are_turned():
    plain = digits.digits()
    model = ConvNet(generator())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    stream = digits.batches(plain, 64, generator())
    for _ in range(200):
        x, y = next(stream)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert digits.accuracy(model, plain) > 0.95
    assert digits.accuracy(model, digits.rotated(plain)) < 0.6


def ar(name: str, files: dict[str, bytes]) -> bytes:
    """Pack files as a Debian package does: a tar in an ar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for path, body in files.items():
            info = tarfile.TarInfo("./" + path)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    packed = b"!<arch>\n"
    for member_name, body in (("debian-binary", b"2.0\n\n"), (name, buffer.getvalue())):
        packed += f"{member_name:16}{0:12}{0:6}{0:6}{'100644':8}{len(body):10}`\n".encode()
        packed += body + b"\n" * (len(body) % 2)
    return packed


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a reader from data/make, which is on the path only while one of its scripts runs."""
    monkeypatch.syspath_prepend(MAKE)
    return importlib.import_module


def test_one_file_of_a_debian_package_is_read(tmp_path, reader):
    member = reader("debian_package").member
    deb = tmp_path / "x.deb"
    deb.write_bytes(ar("data.tar.xz", {"a/one.txt": b"1", "b/one.txt": b"2", "two": b"22"}))
    assert member(deb, "two") == b"22"
    with pytest.raises(ValueError, match="expected one file"):
        member(deb, "one.txt")
    deb.write_bytes(b"PK")
    with pytest.raises(ValueError, match="is not a Debian package"):
        member(deb, "two")


def charsxp(s: str) -> bytes:
    return struct.pack(">ii", 9 | 64 << 12, len(s)) + s.encode()


def strsxp(*strings: str) -> bytes:
    return struct.pack(">ii", 16, len(strings)) + b"".join(map(charsxp, strings))


def r_list(named: dict[str, bytes]) -> bytes:
    attributes = struct.pack(">iii", 2 | 1024, 1, 9 | 64 << 12)
    attributes += struct.pack(">i", 5) + b"names" + strsxp(*named) + struct.pack(">i", 254)
    return struct.pack(">ii", 19 | 512, len(named)) + b"".join(named.values()) + attributes


def test_austen_is_read_from_rs_lazy_load_database(tmp_path, reader):
    austen = reader("austen")
    header = b"X\n" + struct.pack(">iiii", 3, 0x40201, 0x30500, 5) + b"UTF-8"
    store, variables = b"", {}
    for name in austen.NOVELS:
        body = zlib.compress(header + strsxp(name.upper(), "", "It was _very_", "  odd;--", "", "", "indeed."))
        variables[name] = struct.pack(">iiii", 13, 2, len(store), len(body) + 4)
        store += struct.pack(">i", len(body)) + body
    index = gzip.compress(header + r_list({"variables": r_list(variables)}))
    folder = "usr/lib/R/spec-library/janeaustenr/data/"
    deb = tmp_path / "austen.deb"
    deb.write_bytes(ar("data.tar.xz", {folder + "Rdata.rdx": index, folder + "Rdata.rdb": store}))
    novels = austen.extract(deb)
    assert novels.startswith("EMMA\nIt was very odd;--\nindeed.\n\nMANSFIELDPARK\n")
    assert novels.endswith("SENSESENSIBILITY\nIt was very odd;--\nindeed.\n")


def test_kjv_is_read_from_a_sword_module(tmp_path, reader):
    kjv = reader("kjv")
    verses = [
        b'<title type="main">The First Book</title>',
        b'<chapter n="1" osisID="Gen.1" sID="Gen.1"/> ',
        "<w lemma='x'>In</w> the beginning<note>Or <w>at</w></note>, <w>God</w>\u2019s ".encode(),
        '<div type="x"/>\u00b6 the \\nd <w>LORD</w></divineName> said.  <chapter eID="Gen.1"/>'.encode(),
        b'<chapter n="2" osisID="Gen.2" sID="Gen.2"/> ',
        b'<title canonical="true" type="psalm">A Psalm.</title> <l level="1"/>Blessed',
    ]
    block = b"".join(verses)
    packed = zlib.compress(block)
    places, at = b"", 0
    for verse in verses:
        places += struct.pack("<IIH", 0, at, len(verse))
        at += len(verse)
    files = {}
    for testament in ("ot", "nt"):
        files |= {f"m/{testament}.bzz": packed, f"m/{testament}.bzv": places}
        files[f"m/{testament}.bzs"] = struct.pack("<III", 0, len(packed), len(block))
    deb = tmp_path / "kjv.deb"
    deb.write_bytes(ar("data.tar.xz", files))
    half = "In the beginning, God's\nthe LORD said.\n\nA Psalm. Blessed\n"
    assert kjv.extract(deb) == f"{half}\n{half}"


def test_the_command_that_makes_data_again_says_how_it_is_called():
    called = subprocess.run([sys.executable, MAKE / "extract.py"], capture_output=True, text=True, check=False)
    assert called.returncode == 1
    assert called.stderr.strip() == "usage: python data/make/extract.py JANEAUSTENR.deb KJV.deb OUT_FOLDER"
    assert "python data/make/extract.py r-cran-janeaustenr_*.deb" in (MAKE.parent / "README.md").read_text("utf-8")
