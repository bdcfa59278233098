"""What the chapters show: every claim has its place in the book, and every card in the book is a claim."""

import re
from pathlib import Path

import pytest

from lorabook.claims.discovery import discover
from lorabook.models.paths import notebooks_dir

SOURCES = sorted((notebooks_dir() / "src").glob("*.py"))
TAUGHT = {
    "01_why_low_rank": ("low_rank.truncation", "low_rank.spectrum", "low_rank.decay"),
    "02_lora": ("lora.form", "lora.start", "lora.kaiming", "lora.rate", "lora.conventions", "rslora.scale"),
    "03_where": ("lora.attention_score", "lora.layers", "lora.merging", "lora.blocks", "lora.use"),
    "04_when_it_goes_wrong": (
        "memory.memory",
        "memory.cards",
        "memory.phases",
        "memory.rank",
        "counting.count",
        "lora.cost",
        "lora.going_wrong",
    ),
    "05_rslora": ("rslora.scale", "rslora.rank_laws", "rslora.rank_steps"),
    "06_lora_plus": ("lora_plus.lora_plus", "lora_plus.rates", "lora_plus.start", "lora_plus.width"),
    "07_lora_fa": ("lora_fa.form", "lora_fa.layer"),
    "08_pissa": ("pissa.start", "qpissa.start"),
    "09_olora": ("olora.start",),
    "10_qlora": (
        "qlora.nf4",
        "qlora.double_quant",
        "qlora.qlora",
        "qlora.storage",
        "qdora.form",
        "paged_adamw.same_step",
    ),
    "11_dora": ("dora.form", "dora.direction", "dora.pattern", "dora.cost"),
    "12_loha_hira": ("loha.form", "loha.cost", "hira.form"),
    "13_lokr": ("lokr.form",),
    "14_vera": ("vera.form",),
    "15_glora": ("glora.form", "glora.cost", "glora.search"),
    "16_melora_multilora": ("melora.form", "multilora.form"),
    "17_adalora": (
        "adalora.form",
        "adalora.adalora",
        "adalora.importance",
        "adalora.allocator",
        "adalora.schedule",
    ),
    "18_dylora": ("dylora.cut", "dylora.rule"),
    "19_delta_lora": ("delta_lora.form", "delta_lora.same_run"),
    "20_lora_drop": ("lora_drop.lora_drop",),
    "21_longlora": ("longlora.cost", "longlora.interpolation", "longlora.shifted", "longlora.use"),
    "22_o_lora": ("o_lora.cost", "o_lora.orthogonal"),
    "23_lorahub": ("lorahub.hub", "lorahub.search", "stack.combine", "stack.conflicts"),
    "27_arena": ("comparing.seeds",),
    "28_choose": ("variants.listing",),
    "25_dp_dylora": (
        "privacy.accountant",
        "privacy.private",
        "dp_dylora.federated",
        "dp_dylora.federated_leak",
        "dp_dylora.federated_mean",
        "dp_dylora.federated_rank",
    ),
    "24_s_lora": ("s_lora.mixed_batch", "s_lora.pages", "s_lora.scheduler"),
    "26_baselines": ("adapters.bottleneck", "prefix.key_value"),
    "29_your_own_model": ("own_model.chat", "own_model.files"),
}
"""The modules whose claims a chapter derives. Ideas that have no chapter yet are in the ledger of the start page."""
CLAIMS = discover()
NAMES = {claim.name: claim for claim in CLAIMS}


def cards(source: Path) -> set[str]:
    """Return the names in `card(…)` and in `fold("title", …)` of a chapter's source."""
    text = source.read_text(encoding="utf-8")
    folded = re.findall(r"\bfold\(\s*\"[^\"]*\",([^)]*)\)", text)
    names = re.findall(r"\bcard\(([\w.]+)\)", text) + re.findall(r"[\w.]+", " ".join(folded))
    return {name.rsplit(".", 1)[-1] for name in names}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_card_is_a_claim(source):
    assert cards(source) <= set(NAMES)


@pytest.mark.parametrize("chapter", TAUGHT)
def test_a_chapter_shows_the_claims_of_its_ideas(chapter):
    shown = cards(notebooks_dir() / "src" / f"{chapter}.py")
    modules = {f"lorabook.claims.{name}" for name in TAUGHT[chapter]}
    assert {claim.name for claim in CLAIMS if claim.module in modules} - shown == set()


@pytest.mark.parametrize("chapter", TAUGHT)
def test_a_chapter_shows_what_is_often_said_and_false(chapter):
    shown = cards(notebooks_dir() / "src" / f"{chapter}.py")
    assert sum(NAMES[name].is_misconception for name in shown) >= 3


def test_the_start_page_counts_every_claim():
    built = (notebooks_dir() / "00_start.ipynb").read_text(encoding="utf-8")
    assert "book.ledger()" in built
    counted = [int(number) for number in re.findall(r"\*\*(\d+)\*\*", built)]
    assert [sum(c.kind == kind for c in CLAIMS) for kind in ("holds", "holds if", "false")] == counted[-4:-1]


def test_statements_are_markdown_with_whole_formulas():
    for claim in CLAIMS:
        assert claim.statement.count("$") % 2 == 0, claim.name
        assert "\\" not in re.sub(r"\$[^$]*\$", "", claim.statement), claim.name
