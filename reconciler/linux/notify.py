"""What a service tells systemd of itself, and the sockets that it is handed by it.

Called by the daemon and the monitor. Standard library alone: one datagram a message, no reply.
Sources: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
"""

from __future__ import annotations

import os
import time

from reconciler.lean import TYPE_CHECKING, socket, suppress

if TYPE_CHECKING:
    from collections.abc import MutableMapping


_FIRST_FD = 3
_PATIENCE_S = 0.2


class Notifier:
    """The way to the service manager that started us; without one nothing is told.

    `watchdog_s`: it wants a sign of life so often, None: never.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @property
    def is_heard(self) -> bool:
        """Tell whether there is a service manager that listens."""
        return bool(self._address)

    def send(self, *lines: str) -> None:
        """Tell `NAME=VALUE` lines, in one message. Whether anybody hears it changes nothing."""
        if not self._address:
            return
        flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        with suppress(OSError), socket.socket(socket.AF_UNIX, flags) as sock:
            sock.settimeout(_PATIENCE_S)  # a manager that hangs must not make us hang
            sock.sendto("\n".join(lines).encode(), self._address)

    def ready(self, status: str) -> None:
        """Tell that we serve, and how it is, in one line."""
        self.send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, text: str) -> None:
        """Tell how it is, in one line."""
        self.send(f"STATUS={_one_line(text)}")

    def reloading(self) -> None:
        """Tell that we look at our configuration anew; `ready` follows."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that we are about to end."""
        self.send("STOPPING=1")

    def alive(self) -> None:
        """Tell that we live: wanted at least every `watchdog_s`."""
        self.send("WATCHDOG=1")


def take_notifier(environ: MutableMapping[str, str] | None = None) -> Notifier:
    """Return the notifier of the environment, and take it from there: it is not our children's."""
    environ = os.environ if environ is None else environ
    address = environ.pop("NOTIFY_SOCKET", "")
    usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    is_watched = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
    return Notifier(address, int(usec) / 1e6 if is_watched else None)


def take_listeners(environ: MutableMapping[str, str] | None = None) -> list[int]:
    """Return the descriptors that systemd has handed us, and take them from the environment.

    They are close-on-exec from now on. Raises: OSError when one of them is not open.
    """
    environ = os.environ if environ is None else environ
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    fds = list(range(_FIRST_FD, _FIRST_FD + int(count)))
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds


def _one_line(text: str) -> str:
    return " ".join(text.split())
