"""Run a command, or a shell, in the guest: python -m tests.guest [OPTIONS] [-- COMMAND ...]."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import IO

from tests.guest.machine.errors import GuestFailed, Unavailable
from tests.guest.machine.guest import Guest

SHELL = ("setsid", "--ctty", "--wait", "/bin/bash", "-i")


def main() -> int:
    """Boot the guest, run the command in it and return its exit status; 125: the guest failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest", description=__doc__)
    parser.add_argument("--user", action="store_true", help="as an ordinary user")
    parser.add_argument("--systemd", action="store_true", help="systemd is process 1")
    parser.add_argument(
        "--writable", action="append", type=Path, default=[], help="what is written here is kept"
    )
    parser.add_argument("command", nargs="*", help="default: a shell in this terminal")
    options = parser.parse_args()
    guest = Guest(
        command=options.command or SHELL,
        user=options.user,
        systemd=options.systemd,
        writable=[path.resolve() for path in options.writable],
        is_terminal=not options.command,
    )
    try:
        with guest:
            return _follow(guest)
    except (Unavailable, GuestFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 125


def _follow(guest: Guest) -> int:
    """Pass on what the guest writes until it ends."""
    threads = []
    if not guest.is_terminal:
        pairs: list[tuple[IO[bytes], IO[bytes]]] = [
            (guest.output, sys.stdout.buffer),
            (guest.errors, sys.stderr.buffer),
        ]
        threads = [threading.Thread(target=_copy, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
    status = guest.wait()
    for thread in threads:
        thread.join()
    return status


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    for line in source:
        target.write(line)
        target.flush()


if __name__ == "__main__":
    sys.exit(main())
