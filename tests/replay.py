"""Run notebooks through nbval, strictly and without a network, in a process of its own."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lorabook.book import offline

TESTS = Path(__file__).parent
CELL_SECONDS = 180


@dataclass(frozen=True)
class Replay:
    """How one notebook went: pytest's exit code, what it printed, and how many stored outputs were compared."""

    exit_code: int
    text: str
    compared: int


def replay(notebook: Path) -> Replay:
    """Execute a notebook in its own folder and compare every deterministic output with the stored one."""
    environment = offline.environment()
    environment["PYTHONPATH"] = f"{TESTS}:{environment['PYTHONPATH']}"
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(TESTS / "replay.ini"),
        f"--rootdir={notebook.parent}",
        "-p",
        "nbval_text",
        "-p",
        "no:cacheprovider",
        "-q",
        "--color=no",
        "--nbval",
        "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_SECONDS}",
        f"--nbval-sanitize-with={TESTS / 'nbval_sanitize.cfg'}",
        str(notebook),
    ]
    done = subprocess.run(command, env=environment, cwd=notebook.parent, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    count = re.search(rf"^{re.escape(notebook.name)}: (\d+) stored outputs compared$", text, re.MULTILINE)
    return Replay(done.returncode, text, int(count[1]) if count else 0)
