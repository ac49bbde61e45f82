"""A wall clock of their own for the processes under test, which can be set while they run.

Everything that is started with `enter` in front runs in a mount namespace whose /etc/ld.so.preload
names `shifted_clock.c`: the command line, the daemon, the monitor that they start. What this is
not: time stamps that the kernel makes (of files, of processes) stay those of the host.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shifted_clock.c")


class ShiftedClock:
    """Seconds that are added to the host's wall clock, in a file that all of them have mapped."""

    def __init__(self, base: Path) -> None:
        self._etc = base / "etc"
        self._etc.mkdir(parents=True)
        self._file = base / "shift"
        self._file.write_bytes(struct.pack("=q", 0))
        library = base / "clock.so"
        define = f'-DSHIFT_FILE="{self._file}"'
        command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", define]
        subprocess.run([*command, "-o", str(library), str(_SOURCE)], check=True)
        (self._etc / "ld.so.preload").write_text(f"{library}\n")

    def set(self, shift_s: int) -> None:
        """Set the clock so many seconds from the host's."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", shift_s))

    @property
    def enter(self) -> list[str]:
        """Return what to put in front of a command that is to have this clock."""
        mount = f"mount -t overlay -o lowerdir={self._etc}:/etc none /etc"
        script = f'{mount} && exec "$@"'
        return ["unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c", script, "sh"]
