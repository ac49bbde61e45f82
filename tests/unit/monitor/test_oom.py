"""Whether want of memory explains an end, and whether a process is about to end."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from reconciler.monitor.oom import is_ending, is_oom_exit

KILLED = signal.SIGKILL.value  # wait statuses (wait(2)): a signal as it is, a code in byte 2
SEGFAULT = signal.SIGSEGV.value
CODE_137 = 137 << 8


@pytest.mark.parametrize(
    ("status", "has_new_kills", "is_oom"),
    [
        (KILLED, True, True),
        (KILLED, False, False),
        (SEGFAULT, True, False),
        (CODE_137, True, True),
        (CODE_137, False, False),
        (0, True, False),
        (None, True, False),
    ],
)
def test_an_end_is_explained_by_kills_that_init_has_not_outlived(
    status: int | None, has_new_kills: bool, is_oom: bool
) -> None:
    assert is_oom_exit(status, has_new_kills=has_new_kills, outlived_at=None) is is_oom


def test_a_failure_just_after_anothers_kill_follows_from_it_and_a_sigkill_does_not() -> None:
    now = time.monotonic()
    assert is_oom_exit(CODE_137, has_new_kills=False, outlived_at=now)
    assert not is_oom_exit(CODE_137, has_new_kills=False, outlived_at=now - 60)
    assert not is_oom_exit(KILLED, has_new_kills=False, outlived_at=now)
    assert not is_oom_exit(0, has_new_kills=False, outlived_at=now)


def test_a_process_ends_from_its_kill_on_and_stays_ended() -> None:
    process = subprocess.Popen(["/bin/sleep", "60"])
    assert not is_ending(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_ending(process.pid)  # a zombie
    process.wait()
    assert is_ending(process.pid)


def test_a_stopped_process_with_another_signal_pending_is_not_ending() -> None:
    process = subprocess.Popen(["/bin/sleep", "60"])
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    process.send_signal(signal.SIGTERM)
    assert not is_ending(process.pid)
    process.kill()
    process.wait()
