"""A command that the reconciler itself runs: how it ended, what it said, how long it may take."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

from reconciler.control.commands import run_command
from reconciler.model.config import Command
from reconciler.model.state import ExitStatus


class Session:
    """A real process, with the interface of the engine's session."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.fd = os.pidfd_open(process.pid)

    def fileno(self) -> int:
        return self.fd

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return ExitStatus(code=code, signal=None, oom=False, at=0.0)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


class Host:
    """Runs commands without a container around them."""

    last: Session

    def processes(self) -> list[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]

    def execute(self, command: Command, streams: list[int]) -> Session:
        stdin, stdout, stderr = streams
        process = subprocess.Popen(
            command.argv, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        self.last = Session(process)
        return self.last


def run(script: str, timeout_s: float = 20.0, given: Host | None = None) -> Any:
    host: Any = given or Host()
    return run_command(host, ("/bin/sh", "-c", script), timeout_s)


def test_it_is_told_how_it_ended_and_what_it_said_on_both_streams() -> None:
    result = run("echo out; echo err >&2; exit 3")
    assert not result.is_success()
    assert result.describe() == "exit code 3: out; err"
    assert run("true").is_success()
    assert run("true").output == ""


def test_its_standard_input_is_empty() -> None:
    assert run("cat; echo end").output == "end"


def test_of_much_output_the_end_is_kept_and_nothing_is_held_up() -> None:
    result = run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert result.is_success()
    assert result.output.endswith("; last")
    assert len(result.output) < 1000


def test_what_cannot_be_printed_is_not() -> None:
    assert run("printf 'a\\033[1mb\\377\\n'").output == "a?[1mb\ufffd"


def test_one_that_takes_too_long_is_killed() -> None:
    host = Host()
    result = run("echo begun; sleep 1000", 0.3, host)
    assert result.describe() == "it took too long: begun"
    assert host.last.process.returncode == -9


def test_one_that_closes_its_output_is_waited_for() -> None:
    assert run("exec >&- 2>&-; sleep 0.1; exit 4").exit.code == 4


def test_a_child_that_holds_the_output_open_is_not_waited_for() -> None:
    begun = time.monotonic()
    result = run("sleep 5 & echo $!; exit 0")
    os.kill(int(result.output), 9)
    assert result.is_success()
    assert time.monotonic() - begun < 5


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    run("true")
    run("sleep 1000", 0.05)
    assert os.listdir("/proc/self/fd") == before
