"""`lorabook lab`: JupyterLab on the book, with its settings, on this machine only."""

import contextlib
import os
import secrets
import signal
import socket
import sqlite3
import sys
import webbrowser
from importlib.resources import files
from pathlib import Path

import nbformat

from lorabook.book import editions
from lorabook.book.chapters import find_chapter
from lorabook.book.refused import Refused
from lorabook.models import paths

ADDRESS = "127.0.0.1"
SETTINGS = Path(__file__).parent / "lab_settings"
EXTENSION = Path(__file__).parent / "lab_extension"
OWN_COPY = "lorabook-notebooks"


def own_folder() -> Path:
    """Return where a reader's notebooks are, or will be: a checkout's own, or the copy in the current folder."""
    shipped = paths.notebooks_dir()
    return shipped if paths.in_checkout() and os.access(shipped, os.W_OK) else Path.cwd() / OWN_COPY


def book_folder() -> Path:
    """Return the folder to open: the checkout's own notebooks, or the reader's copy of the installed ones.

    Raises:
        Refused: a copy is needed and cannot be written here.
    """
    folder, shipped = own_folder(), paths.notebooks_dir()
    if folder == shipped:
        return shipped
    try:
        new = editions.bring(shipped, folder)
    except OSError as error:
        raise Refused(
            f"cannot copy the notebooks to {folder} ({error.strerror}): change to a folder of yours"
        ) from error
    print(f"lorabook: your copy of the notebooks is {folder} ({new} new, your work is untouched)", flush=True)
    if names := editions.newer(shipped, folder):
        print(
            f"lorabook: {len(names)} that you worked in have a newer edition: {', '.join(names)}. "
            f"`lorabook lab --new-editions` puts them into {folder / editions.BESIDE}",
            flush=True,
        )
    return folder


def put_new_editions_beside() -> Path:
    """Put the newer editions of the chapters that a reader worked in beside her copy; return the folder of her copy.

    Raises:
        Refused: this is a checkout, whose chapters are the newest, or there is no copy, or it cannot be written.
    """
    folder, shipped = own_folder(), paths.notebooks_dir()
    if folder == shipped:
        raise Refused(f"{folder} is the book's own folder: its chapters are those of this edition")
    if not folder.is_dir():
        raise Refused(f"there is no copy of the book in {folder}: `lorabook lab` makes one")
    try:
        editions.bring(shipped, folder)
        print(f"lorabook: newer editions are in {editions.put_beside(shipped, folder)}", flush=True)
    except OSError as error:
        raise Refused(f"cannot write into {folder} ({error.strerror})") from error
    return folder


def trust(folder: Path, shipped: Path) -> None:
    """Sign the chapters of a folder that are the book's own, byte for byte, so that Lab shows their pictures unrun.

    Lab takes the drawings out of what it does not trust. A chapter that differs is left to what the reader trusts.
    """
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()
    for page in sorted(shipped.glob("[0-9][0-9]_*.ipynb")):
        own = folder / page.name
        if own.is_file() and own.read_bytes() == page.read_bytes():
            # Without a writable store of signatures the reader sees the words of each card, as before.
            with contextlib.suppress(OSError, sqlite3.Error):
                notary.sign(nbformat.read(own, as_version=4))


def refuse_port_in_use(port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        Refused: something listens on that port already, or it may not be used, or there is no such port.
    """
    with socket.socket() as probe:
        if os.name == "posix":
            # A port whose last connection has just closed is free: the server will say so too.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            reason = "is in use or not allowed" if isinstance(error, OSError) else "is no port (0 to 65535)"
            raise Refused(
                f"port {port} on {ADDRESS} {reason}: give another with --port, or leave --port out to take a free one"
            ) from error


def has_display() -> bool:
    """Return whether a graphical browser can be opened from here."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def arguments(folder: Path, page: str, port: int | None, browser: bool) -> list[str]:
    """Return what JupyterLab is started with."""
    options = [
        f"--ServerApp.root_dir={folder}",
        # Charts of a saved copy then need no kernel: chart.js asks for /static/plotly.min.js.
        f"--ServerApp.extra_static_paths={files('plotly') / 'package_data'}",
        f"--LabApp.default_url=/lab/tree/{page}",
        f"--LabApp.app_settings_dir={SETTINGS}",
        f"--LabApp.extra_labextensions_path={EXTENSION}",
        f"--ServerApp.ip={ADDRESS}",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",
        "--ServerApp.log_level=WARN",
        "--LabApp.log_level=WARN",
        "--LabApp.extension_manager=readonly",
    ]
    if port is not None:
        options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if os.name == "posix" and os.geteuid() == 0:
        options.append("--allow-root")
    return options


def open_book(chapter: str | None, port: int | None, browser: bool, folder: Path | None) -> int:
    """Serve the book until Ctrl-C; return 130 when stopped by Ctrl-C, 0 when shut down from the browser.

    Raises:
        Refused: the port is not to be had, there is no such chapter, or no folder to open.
    """
    if port is not None:
        refuse_port_in_use(port)
    folder = folder.resolve() if folder else book_folder()
    page = f"{find_chapter(chapter or '00', folder)}.ipynb"
    trust(folder, paths.notebooks_dir())
    browser = browser and has_display()
    # Without this, a kernel the reader once registered as `python3` for another Python would be started instead.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    from jupyterlab.labapp import LabApp

    token = secrets.token_hex(24)
    options = [*arguments(folder, page, port, browser), f"--IdentityProvider.token={token}"]
    server = LabApp.initialize_server(argv=options)
    stopped_by: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        server.stop(from_signal=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # Once the loop runs, the server listens: an address printed earlier could be tried too early.
    server.io_loop.call_later(0, announce, server.port, page, token, browser)
    server.start()
    return 128 + stopped_by[0] if stopped_by else 0


def announce(port: int, page: str, token: str, browser: bool) -> None:
    """Print the address, and what to do with it when no browser opens it."""
    lines = [f"http://{ADDRESS}:{port}/lab/tree/{page}?token={token}", "Ctrl-C stops the book and its kernels"]
    if not browser:
        lines.append(
            "no browser opened here; open that address yourself "
            f"(from another machine, first: ssh -L {port}:{ADDRESS}:{port} THIS-MACHINE)"
        )
    print("\n".join(f"lorabook: {line}" for line in lines), flush=True)
