"""Tests, kernels and builds reach this machine only; the guard is proved with addresses that lead nowhere."""

import socket
import subprocess
import sys

import pytest

from lorabook.book import offline

NOWHERE = "192.0.2.1"  # reserved for documentation


@pytest.mark.parametrize("host", [NOWHERE, "2001:db8::1", "nowhere.invalid", b"nowhere.invalid"])
def test_a_name_or_address_elsewhere_is_refused_before_it_is_looked_up(host: str | bytes) -> None:
    with pytest.raises(ConnectionRefusedError, match="offline"):
        socket.getaddrinfo(host, 80)


def test_a_connection_elsewhere_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError, match=NOWHERE):
        sock.connect((NOWHERE, 80))


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_child_python_is_offline_too() -> None:
    code = f"import socket; socket.create_connection(({NOWHERE!r}, 80))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=offline.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "lorabook runs offline" in done.stderr
