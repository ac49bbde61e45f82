"""A connection to D-Bus: calls and their replies, and signals. As much as `systemd` needs.

Standard library alone. `busctl` would be a further process for each call, and could not hear the
signal that ends a job between asking for it and waiting. Source: D-Bus Specification 0.43.
"""

from __future__ import annotations

import errno
import os
from collections import deque

from reconciler.lean import Any, Self, socket
from reconciler.linux import dbus_wire as wire

_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus")
_START_SIZE = 16
_LINE_MAX = 4096


class DBusError(Exception):
    """The other side has answered with an error: `name` is D-Bus's, the text is its words."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text or name)
        self.name = name


class Connection:
    """One connection, to a bus or straight to a service (`is_bus` False: nothing is routed)."""

    def __init__(self, path: str, *, is_bus: bool, timeout_s: float = 30.0) -> None:
        """Connect and say who we are. Raises: OSError."""
        self.is_bus = is_bus
        self._serial = 0
        self._signals: deque[wire.Message] = deque()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._sock.settimeout(timeout_s)
            self._sock.connect(path)
            self._authenticate()
            if is_bus:
                self.call(*_BUS, _BUS[0], "Hello")
        except BaseException:
            self._sock.close()
            raise

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *arguments: object,
    ) -> list[Any]:
        """Call a method and return its results; signals that come meanwhile are kept.

        Raises: DBusError; OSError (TimeoutError when no reply comes in time).
        """
        self._serial += 1
        fields = {wire.PATH: path, wire.INTERFACE: interface, wire.MEMBER: member}
        if self.is_bus:
            fields[wire.DESTINATION] = destination
        message = wire.Message(wire.CALL, self._serial, fields, list(arguments))
        self._sock.sendall(wire.encode_message(message, signature))
        while True:
            answer = self._receive()
            if answer.kind == wire.SIGNAL:
                self._signals.append(answer)
            elif answer.fields.get(wire.REPLY_SERIAL) == self._serial:
                return _result(answer)

    def match(self, rule: str) -> None:
        """Have a bus send us the signals of a rule; a service's own connection sends all."""
        if self.is_bus:
            self.call(*_BUS, _BUS[0], "AddMatch", "s", rule)

    def next_signal(self, member: str) -> list[Any]:
        """Return the body of the next signal of that name. Raises: OSError (TimeoutError)."""
        while True:
            message = self._signals.popleft() if self._signals else self._receive()
            if message.kind == wire.SIGNAL and message.fields.get(wire.MEMBER) == member:
                return message.body

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _authenticate(self) -> None:
        """Say our uid, which the socket shows as well (EXTERNAL)."""
        uid = str(os.geteuid()).encode().hex()
        self._sock.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n") and len(line) < _LINE_MAX:
            line += self._read(1)  # not a byte of what comes after it
        if not line.startswith(b"OK "):
            words = line.decode(errors="replace").strip()
            raise PermissionError(errno.EACCES, f"D-Bus does not let us in: {words}")
        self._sock.sendall(b"BEGIN\r\n")

    def _receive(self) -> wire.Message:
        start = self._read(_START_SIZE)
        data = start + self._read(wire.message_size(start) - len(start))
        try:
            return wire.decode_message(data)
        except ValueError as error:
            raise OSError(errno.EBADMSG, str(error)) from error

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._sock.recv(size - len(data))
            if not chunk:
                raise ConnectionResetError(errno.ECONNRESET, "D-Bus has closed the connection")
            data += chunk
        return data


def _result(answer: wire.Message) -> list[Any]:
    if answer.kind != wire.ERROR:
        return answer.body
    text = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
    raise DBusError(str(answer.fields.get(wire.ERROR_NAME, "")), text)
