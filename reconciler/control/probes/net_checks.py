"""The checks by HTTP and TCP, in the container's network. Called by the checks.

The caller gives what makes a socket of an address family there. A redirect is an answer like any
other: it is not followed, or a container could send us anywhere.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from reconciler.model.spec import HttpCheck, TcpCheck

MakeSocket = Callable[[int], int]

_BODY_BYTES = 65536
_HEADERS = {"User-Agent": "reconciler-probe", "Accept": "*/*", "Connection": "close"}


class _BoundedSocket(socket.socket):
    """A socket all of whose calls together end at a deadline (monotonic seconds)."""

    deadline = 0.0

    def bound(self) -> None:
        """Give the next call what is left of the time. Raises: TimeoutError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, *args: Any) -> int:
        self.bound()
        return super().recv_into(*args)

    def sendall(self, *args: Any) -> None:
        self.bound()
        super().sendall(*args)


def check_tcp(make: MakeSocket, check: TcpCheck, deadline: float) -> str | None:
    """Return why no connection could be made, None when it was. Raises: OSError, TimeoutError."""
    connected = _connect(make, check.host, check.port, deadline)
    if isinstance(connected, str):
        return connected
    connected.close()
    return None


def check_http(make: MakeSocket, check: HttpCheck, deadline: float) -> str | None:
    """Return why the answer is not one from 200 to 399, None when it is.

    Raises: OSError, TimeoutError.
    """
    connected = _connect(make, check.host, check.port, deadline)
    if isinstance(connected, str):
        return connected
    with connected:
        return _get(connected, check)


def _connect(make: MakeSocket, host: str, port: int, deadline: float) -> _BoundedSocket | str:
    """Return a connected socket, or why there is none. Raises: OSError, TimeoutError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = _BoundedSocket(family, fileno=make(family))
    sock.deadline = deadline
    try:
        sock.bound()
        sock.connect((host, port))
    except TimeoutError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        why = (error.strerror or str(error)).lower()
        return f"cannot connect to {_spell_address(host, port)}: {why}"
    return sock


def _get(sock: _BoundedSocket, check: HttpCheck) -> str | None:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(check.host, check.port)
    connection.sock = sock
    given = {name.lower() for name in check.headers}
    headers = {name: value for name, value in _HEADERS.items() if name.lower() not in given}
    url = f"http://{_spell_address(check.host, check.port)}{check.path}"
    try:
        connection.request("GET", check.path, headers=headers | check.headers)
        response = connection.getresponse()
    except HTTPException as error:
        return f"GET {url}: no HTTP answer: {type(error).__name__} {error}".strip()[:300]
    except ConnectionError as error:
        return f"GET {url}: {(error.strerror or str(error)).lower()}"
    with response:
        _drain(response)
        if 200 <= response.status <= 399:
            return None
        reason = "".join(char if char.isprintable() else "?" for char in response.reason[:100])
        return f"GET {url} answered {response.status} {reason}".strip()


def _drain(response: Any) -> None:  # noqa: ANN401  (http.client is loaded when it is needed)
    """Take the body as far as it comes in time: to hang up before makes servers complain."""
    from http.client import HTTPException

    left = _BODY_BYTES
    try:
        while left > 0 and (data := response.read1(left)):
            left -= len(data)
    except (OSError, HTTPException):
        return  # the status is the answer, and it is known


def _spell_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
