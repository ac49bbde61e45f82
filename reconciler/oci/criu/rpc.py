"""A conversation with criu as its one client: requests and answers in protocol buffers.

Called by `dump` and `restore`. `criu swrk FD` serves one request on a socket:

    we: DUMP or RESTORE with options --> criu: NOTIFY with a script's name, perhaps descriptors
    we: NOTIFY, done                 --> ... --> criu: the answer to the request

Sources: criu.org/RPC, images/rpc.proto, protobuf.dev (Encoding).
"""

from __future__ import annotations

import os
import socket
import subprocess

from reconciler.lean import Any, Callable, NamedTuple

DUMP, RESTORE, PRE_DUMP, NOTIFY = 1, 2, 4, 6
_MAX_MESSAGE, _MAX_FDS = 65536, 4
_VARINT, _BYTES = 0, 2

Fields = list[tuple[int, int | str | bytes]]
"""Numbers and values of a message's fields, in any order; a nested one is its bytes."""


class CriuFailed(Exception):
    """criu has refused a request, or ended without an answer."""


class Notice(NamedTuple):
    """What criu tells on its way: the script's name, a pid or 0, descriptors that come with it."""

    script: str
    pid: int
    fds: list[int]


class Criu:
    """A criu that serves one request.

    `prepare` runs in it before it is executed, and may send descriptors over the socket.
    """

    def __init__(
        self,
        program: str,
        *,
        keeps_streams: bool,
        prepare: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stream = None if keeps_streams else subprocess.DEVNULL

        def run_prepare() -> None:
            if prepare is not None:
                prepare(theirs)

        with theirs:
            self._process = subprocess.Popen(
                [program, "swrk", str(theirs.fileno())],
                stdin=stream,
                stdout=stream,
                stderr=stream,
                pass_fds=[theirs.fileno()],
                preexec_fn=run_prepare,  # noqa: PLW1509 - this program has one thread
            )
        self.pid = self._process.pid

    def __enter__(self) -> Criu:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    def sent_by_prepare(self) -> list[int]:
        """Return the descriptors that `prepare` has sent. Raises: CriuFailed."""
        data, fds, _, _ = socket.recv_fds(self._socket, 1, _MAX_FDS)
        if not data:
            raise CriuFailed("it was not prepared")
        return list(fds)

    def request(
        self, kind: int, options: Fields, on_notice: Callable[[Notice], None] | None = None
    ) -> dict[int, list[Any]]:
        """Return the answer to a request. Raises: CriuFailed; what `on_notice` raises."""
        self._send([(1, kind), (2, encode(options))])
        while True:
            answer, fds = self._receive()
            if answer[1][0] != NOTIFY:
                if not answer.get(2, [0])[0]:
                    raise CriuFailed(b"".join(answer.get(9, [])).decode() or "it gives no reason")
                return answer
            self._notify(answer, fds, on_notice)

    def _notify(
        self,
        answer: dict[int, list[Any]],
        fds: list[int],
        on_notice: Callable[[Notice], None] | None,
    ) -> None:
        notify = decode(answer[5][0])
        notice = Notice(notify[1][0].decode(), notify.get(2, [0])[0], fds)
        try:
            if on_notice is not None:
                on_notice(notice)
        except BaseException:
            self._send([(1, NOTIFY), (3, False)])
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self._send([(1, NOTIFY), (3, True)])

    def _send(self, fields: Fields) -> None:
        try:
            self._socket.send(encode(fields))
        except OSError as error:
            raise CriuFailed(f"it does not listen: {error.strerror}") from error

    def _receive(self) -> tuple[dict[int, list[Any]], list[int]]:
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, _MAX_MESSAGE, _MAX_FDS)
        except OSError as error:
            raise CriuFailed(f"it does not answer: {error.strerror}") from error
        if not data:
            raise CriuFailed("it has ended without an answer")
        return decode(data), list(fds)


def encode(fields: Fields) -> bytes:
    """Return a message of varints (bool, int) and strings (str, bytes)."""
    message = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            message += _varint(number << 3 | _VARINT) + _varint(value % 2**64)
        else:
            data = value.encode() if isinstance(value, str) else value
            message += _varint(number << 3 | _BYTES) + _varint(len(data)) + data
    return bytes(message)


def decode(message: bytes) -> dict[int, list[Any]]:
    """Return the values of each field, int or bytes. Raises: CriuFailed for other kinds."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == _BYTES:
            found.setdefault(tag >> 3, []).append(message[at : at + value])
            at += value
        elif tag & 7 == _VARINT:
            found.setdefault(tag >> 3, []).append(value)
        else:
            raise CriuFailed(f"its answer has a field of the kind {tag & 7}")
    return found


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            raise CriuFailed("its answer is cut short")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte <= 0x7F:
            return value, at
