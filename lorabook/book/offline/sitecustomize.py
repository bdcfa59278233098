"""Python imports this at start-up where its folder is on PYTHONPATH: from then on, sockets reach this machine only.

Standard library only, and nothing of lorabook: it runs before every other import.
"""

import ipaddress
import sys


def _is_local(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(event: str, arguments: tuple) -> None:
    """Raises: ConnectionRefusedError where a socket is about to leave this machine. An audit hook."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host is not None and not _is_local(str(host)):
        raise ConnectionRefusedError(
            f"{event} to {host!r}: lorabook runs offline; ship the data or make it in the test"
        )


sys.addaudithook(refuse)
