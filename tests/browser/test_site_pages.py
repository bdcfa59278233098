"""The site as a reader opens it: by file://, with the network off. What can live moves, and no request leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_page import artefacts
from playwright.sync_api import Browser, Page
from site_sample import NAME, QUESTION, sample_chapter

from lorabook.book.site.build_site import build_site

pytestmark = pytest.mark.browser

LOCAL = ("file:", "data:", "blob:")


class Reading:
    """A page opened from a folder, everything that went wrong on it, and every request that left it."""

    def __init__(self, browser: Browser, site: Path) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 1000}, offline=True)
        self.page: Page = self.context.new_page()
        self.site, self.faults = site, list[str]()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(said.text))
        self.page.on("request", lambda asked: asked.url.startswith(LOCAL) or self.faults.append(asked.url))
        # A file that was still on its way when the reader turned the page is aborted, and is no fault.
        self.page.on("requestfailed", lambda asked: "ABORTED" in asked.failure or self.faults.append(asked.failure))

    def open(self, name: str) -> None:
        self.page.goto((self.site / f"{name}.html").as_uri())

    def press(self, css: str, key: str) -> None:
        self.page.locator(css).focus()
        self.page.keyboard.press(key)


# Made once for the module, and before Playwright's event loop runs.
@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "book").mkdir()
    widgets = sample_chapter(root / "book")
    build_site(root / "book", root / "pages", lambda _source: widgets)
    return root / "pages"


@pytest.fixture
def reading(site: Path, chromium: Browser) -> Iterator[Reading]:
    opened = Reading(chromium, site)
    yield opened
    opened.context.close()
    assert opened.faults == []


def frame(view: str) -> str:
    return f".lb-explorer[data-view='{view}']"


def test_a_slider_moves_the_picture_without_a_kernel(reading: Reading) -> None:
    reading.open(NAME)
    picture, title = (reading.page.locator(f"{frame('codebook')} .lb-{part}") for part in ("stage", "title"))
    title.filter(has_text="Without an outlier").wait_for()
    before = picture.inner_html()
    reading.press(f"{frame('codebook')} input[name='outlier']", "End")
    title.filter(has_text="One weight of 8σ").wait_for()
    assert picture.inner_html() != before
    picture.screenshot(path=artefacts() / "site-codebook.png")


def test_a_chart_is_drawn_by_the_plotly_beside_the_page_and_follows_its_slider(reading: Reading) -> None:
    reading.open(NAME)
    reading.page.locator(f"{frame('spectrum')} .js-plotly-plot .trace").first.wait_for(state="attached")
    reading.press(f"{frame('spectrum')} input[name='r']", "Home")
    reading.page.locator(f"{frame('spectrum')} .lb-title").filter(has_text="Rank 1 keeps").wait_for()


def test_what_computes_is_a_picture_with_its_sentence_and_the_pictures_of_the_others_are_away(reading: Reading) -> None:
    reading.open(NAME)
    reading.page.locator(frame("codebook")).wait_for()
    assert reading.page.locator(frame("training")).count() == 0
    seen = reading.page.locator("img.lorabook-picture:visible")
    assert seen.count() == 1
    assert "would train" in seen.get_attribute("alt")
    assert reading.page.locator(".lb-buttons:visible").count() == 0


def test_a_prediction_is_kept_until_the_page_looks_back(reading: Reading) -> None:
    reading.open(NAME)
    summary = reading.page.locator("details[data-answers] > summary")
    assert summary.inner_text() == "Open what was measured"
    assert reading.page.locator(".lb-question").inner_text() == QUESTION
    reading.press(".lb-predict input", "End")
    assert summary.inner_text() == "You predicted: 10. Open what was measured"
    reading.page.wait_for_timeout(2500)  # a view without an answer would say so after two seconds
    assert "Kept" in reading.page.locator(".lb-answered").inner_text()


def test_explorers_follow_the_pages_light_and_dark(reading: Reading) -> None:
    reading.open(NAME)
    grounds = []
    for theme in ("light", "dark"):
        reading.page.evaluate("name => { document.body.dataset.theme = name; }", theme)
        reading.page.locator(f"{frame('codebook')}[style*='color-scheme: {theme}']").wait_for()
        grounds.append(reading.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        reading.page.screenshot(path=artefacts() / f"site-{theme}.png", full_page=True)
    assert grounds[0] != grounds[1]


def test_the_search_finds_a_chapter_and_the_pages_lead_from_one_to_the_next(reading: Reading) -> None:
    reading.open("index")
    reading.page.locator("input[name='q']").first.fill("sample")
    reading.page.keyboard.press("Enter")
    reading.page.locator("#search-results a", has_text="A sample").first.click()
    reading.page.locator(frame("codebook")).wait_for()
    reading.page.locator("a.next-page").click()
    assert reading.page.locator("h1").inner_text().startswith("Symbols")


def test_on_paper_everything_is_open(reading: Reading) -> None:
    reading.open(NAME)
    reading.page.locator(frame("codebook")).wait_for()
    assert reading.page.locator("details[data-answers]:not([open])").count() == 1
    reading.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert reading.page.locator("details:not([open])").count() == 0
    reading.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert reading.page.locator("details[data-answers]:not([open])").count() == 1


@pytest.mark.parametrize("width", [320, 1000, 1100])
def test_no_page_is_wider_than_its_window(reading: Reading, width: int) -> None:
    reading.page.set_viewport_size({"width": width, "height": 900})
    reading.open(NAME)
    reading.page.locator(frame("codebook")).wait_for()
    assert reading.page.evaluate("() => document.documentElement.scrollWidth") <= width
