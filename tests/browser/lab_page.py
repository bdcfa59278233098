"""A real JupyterLab in a real browser: start the book's server, open a notebook, run it, press keys, look."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page

HERE = Path(__file__).parent
READY_MS = 90_000
IDLE = """() => { const w = window.jupyterapp?.shell?.currentWidget;
  return !!w && !!w.sessionContext?.isReady && w.sessionContext.session?.kernel?.status === 'idle'; }"""
RUN_ALL = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.flatMap(
  c => (c.outputs || []).filter(o => o.ename && !(c.metadata.tags || []).includes('raises-exception'))
    .map(o => o.ename + ': ' + o.evalue))"""
THEME = "async name => { await window.jupyterapp.commands.execute('apputils:change-theme', { theme: name }); }"


def artefacts() -> Path:
    """Where pictures are kept: $LORABOOK_ARTEFACTS, or .artefacts in the repository (ignored by git)."""
    folder = Path(os.environ.get("LORABOOK_ARTEFACTS") or HERE.parents[1] / ".artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Opened:
    """A notebook open in JupyterLab, with a kernel of its own."""

    page: Page
    page_errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def run_all(self, seconds: float = 300) -> None:
        """Run every cell and wait until the kernel is idle; fails on any error but those a cell is tagged to raise."""
        self.page.set_default_timeout(seconds * 1000)
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function(IDLE, timeout=seconds * 1000)
        self.page.set_default_timeout(30_000)
        errors = self.errors()
        assert not errors, "; ".join(errors)

    def errors(self) -> list[str]:
        """The cells' errors and the page's own, and every request that left this machine."""
        return [*self.page.evaluate(ERRORS), *self.page_errors, *self.outside]

    def locator(self, css: str) -> Locator:
        """The first element inside the notebook that matches."""
        return self.page.locator(f".jp-Notebook {css}").first

    def press(self, css: str, key: str, times: int = 1) -> None:
        """Focus a control and press a key on it."""
        self.locator(css).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def latencies(self, control: str, shows: str, keys: list[str]) -> list[float]:
        """Milliseconds from each key press on `control` to the last paint of a change inside `shows`.

        The next key is pressed only once nothing has changed for a quarter of a second.
        Raises: AssertionError when a key press changes nothing.
        """
        self.page.evaluate((HERE / "latency.js").read_text(encoding="utf-8"))
        self.page.evaluate("root => window.lorabookWatch(root)", self.locator(shows).element_handle())
        self.locator(control).focus()
        times = []
        for key in keys:
            self.page.keyboard.press(key)
            took = self.page.evaluate("() => window.lorabookPainted(250, 5000)")
            assert took is not None, f"{key} on {control} changed nothing in {shows}"
            times.append(took)
        return times

    def theme(self, name: str) -> None:
        """Switch Lab's theme: light or dark."""
        label = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[name]
        self.page.evaluate(THEME, label)
        self.page.locator(f"body[data-jp-theme-name='{label}']").wait_for(state="attached")

    def screenshot(self, name: str, css: str | None = None) -> Path:
        """Keep a picture of what is visible, or of one element scrolled into view, as an artefact."""
        path = artefacts() / f"{name}.png"
        if css is None:
            self.page.screenshot(path=path)
        else:
            self.locator(css).scroll_into_view_if_needed()
            self.locator(css).screenshot(path=path)
        return path

    def close(self) -> None:
        """End the kernel and close the page."""
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")
        self.page.context.close()


class Lab:
    """`lorabook lab` serving one folder, with its own settings and none of the user's."""

    def __init__(self, root: Path, private: Path, browser: Browser) -> None:
        self.root, self._browser, self._opened = root, browser, 0
        environment = {
            **os.environ,
            "JUPYTERLAB_SETTINGS_DIR": str(private / "settings"),
            "IPYTHONDIR": str(private / "ipython"),
            "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"),
        }
        for name in ("CONFIG", "RUNTIME", "DATA"):
            environment[f"JUPYTER_{name}_DIR"] = str(private / name.lower())
        _write(private / "config" / "jupyter_lab_config.json", {"LabApp": {"expose_app_in_browser": True}})
        # Lab's default moves the page while it scrolls, which makes a mouse miss; keys and readers are not affected.
        _write(
            private / "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings", {"windowingMode": "none"}
        )
        self._log = (private / "lab.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lorabook", "lab", "--no-browser", "--folder", str(root)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        line = self._process.stdout.readline()
        address = re.search(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)", line)
        if address is None:
            self._process.kill()
            self._log.seek(0)
            raise RuntimeError(f"`lorabook lab` printed {line!r} instead of its address:\n{self._log.read()}")
        self.base, self.token = address.groups()

    def open(self, name: str, width: int = 1280, height: int = 1000) -> Opened:
        """Open a notebook of the folder in a fresh browser profile and wait until its kernel is ready."""
        self._opened += 1
        page = self._browser.new_context(viewport={"width": width, "height": height}).new_page()
        opened = Opened(page)
        page.on("pageerror", lambda error: opened.page_errors.append(f"page: {error}"))
        page.on("request", lambda request: _note_outside(opened, request.url, self.base))
        page.goto(f"{self.base}/lab/workspaces/test{self._opened}/tree/{name}.ipynb?token={self.token}")
        page.wait_for_function(IDLE, timeout=READY_MS)
        page.set_default_timeout(30_000)
        return opened

    def close(self) -> None:
        """Stop the server as Ctrl-C does; it must end cleanly."""
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._process.stdout.close()
            self._log.close()
        assert code == 130, f"`lorabook lab` ended with {code} after Ctrl-C"


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _note_outside(opened: Opened, url: str, base: str) -> None:
    local = (base, base.replace("http", "ws", 1), "data:", "blob:")
    if not url.startswith(local):
        opened.outside.append(f"request: {url}")


def percentile(values: list[float], share: float) -> float:
    """The smallest of the values that at least `share` of them do not exceed."""
    return sorted(values)[max(0, -(-int(share * 100) * len(values) // 100) - 1)]
