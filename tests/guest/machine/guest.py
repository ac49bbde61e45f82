"""A running guest: one command in a machine of its own, whose only cgroup hierarchy is v2.

    host                                        guest
    write vars, command in a control directory
    virtiofsd: / for the guest
    qemu                                        init: overlay over the host's /, cgroup2
                                                second-stage: a delegated cgroup
      port 1 <- standard output <---------------  command, in that cgroup's `leaf`
      port 2 <- standard error  <---------------
      port 3 <- reports         <---------------  what it writes to /run/guest/reports
    status <------------------------------------  its exit status; then the machine ends

Everything that the command writes stays in the guest's memory, but for `writable` directories.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.guest.machine.errors import GuestFailed
from tests.guest.machine.initramfs import write_initramfs
from tests.guest.machine.kernel import cache_dir, prepare_kernel
from tests.guest.machine.qemu import (
    BUSYBOX,
    Machine,
    check_host,
    qemu_command,
    virtiofsd_command,
)

CGROUP = "/sys/fs/cgroup/delegated"  # given to the command, which is in its `leaf`
REPORTS = "/run/guest/reports"
SCRATCH_DISK_BYTES = 1 << 30
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TERM")
SERVING_LIMIT_S = 60
NO_STATUS = 125


@dataclass(kw_only=True)
class Guest:
    """One boot of the guest for one command; a context manager.

    With `systemd` it is process 1, and the command a service with a delegated cgroup. With
    `user` the command runs as the ordinary user "tester" (uid 31500, with subordinate ids), whose
    cgroup is delegated; with both it is a service of that user's own manager.

    Raises: Unavailable if this host cannot have a guest, GuestFailed.
    """

    command: Sequence[str]
    systemd: bool = False
    user: bool = False
    writable: Sequence[Path] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    is_terminal: bool = False  # the command's terminal is ours
    cwd: Path = field(default_factory=Path.cwd)

    control: Path = field(init=False)
    qemu: subprocess.Popen[bytes] = field(init=False)
    server: subprocess.Popen[bytes] = field(init=False)
    output: IO[bytes] = field(init=False)
    errors: IO[bytes] = field(init=False)
    reports: IO[bytes] = field(init=False)

    def __enter__(self) -> Self:
        check_host()
        kernel = prepare_kernel()
        _remove_abandoned(cache_dir())
        self.control = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=cache_dir()))
        self.control.chmod(0o755)
        self._write_control()
        write_initramfs(self.control / "initramfs", Path(BUSYBOX), kernel.modules)
        with (self.control / "disk").open("wb") as disk:
            disk.truncate(SCRATCH_DISK_BYTES)
        ends = [os.pipe() for _ in range(0 if self.is_terminal else 3)]
        writers = [writer for _, writer in ends]
        machine = Machine(
            kernel=kernel.image,
            control=self.control,
            ports=writers,
            is_terminal=self.is_terminal,
        )
        try:
            self.server = self._spawn("virtiofsd", virtiofsd_command(machine))
            self._await_server()
            self.qemu = self._spawn("qemu", qemu_command(machine), pass_fds=writers)
        except BaseException:
            self._clean_up()
            raise
        finally:
            for writer in writers:
                os.close(writer)
        if ends:
            self.output, self.errors, self.reports = (os.fdopen(end, "rb") for end, _ in ends)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean_up()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end of the machine and return the command's exit status.

        Raises: GuestFailed when there is none, subprocess.TimeoutExpired.
        """
        self.qemu.wait(timeout_s)
        status = self._read("status")
        if not status or int(status) == NO_STATUS:
            raise GuestFailed(self.trouble())
        return int(status)

    def trouble(self) -> str:
        """Return the last that the guest's kernel and the emulator said."""
        names = ("console", "qemu.log", "virtiofsd.log")
        tails = {name: self._read(name).splitlines()[-30:] for name in names}
        said = [f"{name}:\n" + "\n".join(lines) for name, lines in tails.items() if lines]
        return "the guest ended before its command\n" + "\n".join(said)

    def booted_s(self) -> float | None:
        """Return the seconds from the kernel's first instruction to the command."""
        text = self._read("booted_s")
        return float(text) if text else None

    # --- parts ---------------------------------------------------------------------------

    def _write_control(self) -> None:
        places = [self.cwd, *map(Path, (sys.prefix, sys.base_prefix)), *self.writable]
        seen = [
            path
            for path in places
            if path.parts[1:2] == ("tmp",) or path.parts[1:3] == ("var", "tmp")
        ]
        opened = {parent for path in places for parent in (path, *path.parents)}
        lists = {"SEEN": seen, "WRITABLE": self.writable, "OPENED": sorted(opened)}
        lines = [
            f"{name}={shlex.quote(' '.join(map(str, paths)))}" for name, paths in lists.items()
        ]
        flags = {"SYSTEMD": self.systemd, "USERMODE": self.user, "TERMINAL": self.is_terminal}
        lines += [f"{name}={'1' if value else ''}" for name, value in flags.items()]
        (self.control / "vars").write_text("\n".join(lines) + "\n")
        (self.control / "command").write_text("\n".join(self._script()) + "\n")

    def _script(self) -> list[str]:
        home, name = ("/home/tester", "tester") if self.user else ("/root", "root")
        environ = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        environ |= {"HOME": home, "USER": name, "LOGNAME": name, "SHELL": "/bin/bash"}
        environ |= {"RECONCILER_GUEST": "1", **self.environ}
        exports = [f"export {key}={shlex.quote(value)}" for key, value in environ.items()]
        return [*exports, f"cd {shlex.quote(str(self.cwd))}", f"exec {shlex.join(self.command)}"]

    def _spawn(
        self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        command = ("setpriv", "--pdeathsig", "KILL", *command)  # it shall not outlive us
        with (self.control / f"{name}.log").open("wb") as log:
            if self.is_terminal and name == "qemu":
                return subprocess.Popen(command, stderr=log)
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=pass_fds
            )

    def _await_server(self) -> None:
        deadline = time.monotonic() + SERVING_LIMIT_S
        while not (self.control / "files").exists():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise GuestFailed(f"no file server: {self._read('virtiofsd.log')}")
            select.select([], [], [], 0.01)

    def _read(self, name: str) -> str:
        path = self.control / name
        return path.read_text(errors="replace").strip() if path.exists() else ""

    def _clean_up(self) -> None:
        for name in ("qemu", "server"):
            process = getattr(self, name, None)
            if process is not None:
                process.kill()
                process.wait()
        for name in ("output", "errors", "reports"):
            stream = getattr(self, name, None)
            if stream is not None:
                stream.close()
        shutil.rmtree(self.control)


def _remove_abandoned(cache: Path) -> None:
    """Remove the control directories of processes that were killed, and the emulator with them."""
    for path in cache.glob("run-*-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            shutil.rmtree(path, ignore_errors=True)
