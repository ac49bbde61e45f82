"""The program between set-up and command: made for both machines, run for real on each."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.linux.trampoline import has_trampoline, make_image, make_report

_QEMU = shutil.which("qemu-aarch64")
MACHINES = [
    pytest.param(
        machine,
        marks=pytest.mark.skipif(
            platform.machine() != machine and not (machine == "aarch64" and _QEMU),
            reason=f"this is no {machine}, and its programs cannot be emulated",
        ),
    )
    for machine in ("x86_64", "aarch64")
]


class Trampoline:
    """The program in a file, and the pipe that it reports to."""

    def __init__(self, machine: str, directory: Path) -> None:
        self.machine = machine
        self.read_fd, self.write_fd = os.pipe()
        self.path = directory / "trampoline"
        self.path.write_bytes(make_image(machine, self.write_fd))
        self.path.chmod(0o755)

    def run(self, *words: str, has_pipe: bool = True) -> tuple[int, str, Any]:
        """Return the exit code, the output, and what was reported."""
        report = make_report({"kind": "Execute", "path": "übel"})
        command: list[str | Path] = [report, *words]
        program: str | Path = self.path
        if self.machine != platform.machine():
            assert _QEMU
            command = ["qemu", "-0", report, self.path, *words]
            program = _QEMU
        done = subprocess.run(
            command,
            executable=program,
            env={"A": "1"},
            pass_fds=[self.write_fd] if has_pipe else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        os.close(self.write_fd)
        said = os.read(self.read_fd, 4096)
        os.close(self.read_fd)
        return done.returncode, done.stdout, json.loads(said) if said else None


@pytest.mark.parametrize("machine", MACHINES)
def test_it_becomes_the_command_with_arguments_and_environment(
    machine: str, tmp_path: Path
) -> None:
    trampoline = Trampoline(machine, tmp_path)
    # of descriptors the command has 3, the directory that ls reads, and no more
    script = 'echo "$0 $* $A"; ls /proc/self/fd; exit 7'
    code, output, reported = trampoline.run("/bin/sh", "me", "-c", script, "x", "y", "z")
    assert (code, output.split(), reported) == (7, ["x", "y", "z", "1", "0", "1", "2", "3"], None)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("path", "number"), [("/none", 2), ("/etc/passwd", 13), ("/etc/passwd/x", 20), ("{long}", 36)]
)
def test_it_reports_why_it_cannot(machine: str, path: str, number: int, tmp_path: Path) -> None:
    trampoline = Trampoline(machine, tmp_path)
    code, output, reported = trampoline.run(path.format(long="/" + "x" * 300), "me")
    assert (code, output) == (127, "")
    assert reported == {"errno": number, "kind": "Execute", "path": "übel"}


@pytest.mark.parametrize("machine", MACHINES)
def test_who_executes_it_without_the_descriptor_gets_nothing(machine: str, tmp_path: Path) -> None:
    """As a command would by `#!/proc/self/exe`."""
    trampoline = Trampoline(machine, tmp_path)
    assert trampoline.run("/bin/echo", "me", "here", has_pipe=False) == (127, "", None)


def test_a_machine_without_one_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_trampoline()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "riscv64")))
    assert not has_trampoline()
