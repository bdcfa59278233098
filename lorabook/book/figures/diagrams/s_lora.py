"""S-LoRA: one frozen base, a pool of pages in which adapters and caches live, and a batch that mixes them."""

from lorabook.book.figures.blocks import Scale, key, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import LEFT, foot
from lorabook.many.pages import Pages

RANKS = {"a": 8, "b": 16, "c": 4, "d": 8}
CACHES = {"request 1": 6, "request 2": 9, "request 3": 5}
INK = {"b": "on-frozen"}
"""The second hue is dark: what is written on it is light."""
BATCH = ("b", "a", "c")
COUNT, SIZE, ACROSS, CELL = 32, 2, 8, 17
D_OUT, D_IN, SCALE = 28, 50, Scale(rank=1.2, d_out=1, d_in=1, gap=6)


def pool() -> Pages:
    """Return a pool that has served a, d and b, and now has what the batch needs; d's pages are anyone's."""
    pages = Pages(COUNT, SIZE)
    for name in RANKS:
        pages.hold({name: RANKS[name]})
        pages.let_go([name])
    pages.hold({name: RANKS[name] for name in BATCH} | CACHES)
    return pages


def draw() -> Drawing:
    drawing, pages = Drawing("S-LoRA: one base, pages of adapters beside it, one batch for all"), pool()
    hue = {name: f"hue-{place}" for place, name in enumerate(RANKS)}
    top = 92
    drawing.heading(LEFT, top - 12, "a batch of requests")
    for place, name in enumerate(BATCH):
        y = top + 8 + 40 * place
        drawing.rect(LEFT, y, 96, 26, hue[name], faint=0.85)
        drawing.text(
            LEFT + 48, y + 18, f"x{place + 1} for {name}", size=12, role=INK.get(name, "on-trainable"), bold=True
        )
        drawing.arrow((LEFT + 100, y + 13), (190, y + 13))
    drawing.rect(198, top, 86, 118, "frozen")
    drawing.text(241, top + 64, "W₀", size=18, role="on-frozen", bold=True)
    drawing.note(241, top + 134, "one product for all")
    for place, name in enumerate(BATCH):
        y, r = top + 8 + 40 * place, RANKS[name]
        drawing.arrow((288, y + 13), (314, y + 13))
        drawing.text(332, y + 18, "+", size=15)
        pair(drawing, (D_OUT, r), (r, D_IN), 350, y + 13, SCALE, hue[name])
        drawing.note(416 + 1.2 * r, y + 17, f"r = {r}", anchor="start")
    drawing.note(372, top + 134, "each row its own B(Ax)")
    x, used = 512, {}
    for owner in pages.owners:
        for number in pages.rows(owner):
            used[number // SIZE] = owner
    drawing.heading(x, top - 12, "the pool, page by page")
    for page in range(COUNT):
        owner = used.get(page)
        role = "grid" if owner is None else hue.get(owner, "quantised")
        left, y = x + (CELL + 3) * (page % ACROSS), top + 6 + (CELL + 3) * (page // ACROSS)
        idle = owner in RANKS and not pages.is_pinned(owner)
        drawing.rect(left, y, CELL, CELL, role, faint=0.3 if idle else 1.0)
        if owner in RANKS:
            drawing.text(
                left + CELL / 2,
                y + 13,
                owner,
                size=11,
                role="text" if idle else INK.get(owner, "on-trainable"),
                bold=True,
            )
    y = top + 6 + (CELL + 3) * (COUNT // ACROSS) + 18
    key(drawing, x, y, "quantised", "KV cache of a request")
    key(drawing, x, y + 18, hue["d"], "d: idle, may be evicted", faint=0.3)
    key(drawing, x, y + 36, "grid", f"free: {pages.free} of {COUNT}")
    foot(
        drawing,
        "y_{i} = W₀x_{i} + s·B_{k}(A_{k}x_{i}), where k is request i's adapter",
        f"A page holds {SIZE} rows: one rank of an adapter, or one cached position, a row. "
        f"Rows of used pages that nobody needs: {pages.lost_rows}.",
    )
    return drawing
