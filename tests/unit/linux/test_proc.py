"""/proc as values, against real processes."""

from __future__ import annotations

import os
import signal
import subprocess

from reconciler.linux.proc import is_same_process, read_boot_id, read_file, read_stat
from reconciler.linux.signals import can_reach_init


def test_our_own_stat_is_alive_and_has_our_parent() -> None:
    stat = read_stat(os.getpid())
    assert stat is not None
    assert stat.is_alive()
    assert stat.parent_pid == os.getppid()
    assert is_same_process(os.getpid(), stat.start_ticks)
    assert not is_same_process(os.getpid(), stat.start_ticks + 1)


def test_a_zombie_is_not_alive_and_tells_its_exit_status() -> None:
    with subprocess.Popen(["sh", "-c", "exit 7"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        stat = read_stat(child.pid)
        assert stat is not None
        assert not stat.is_alive()
        assert os.waitstatus_to_exitcode(stat.exit_status) == 7
    assert read_stat(child.pid) is None


def test_a_command_name_with_spaces_and_parentheses_is_no_trouble(tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "a) b (c")
    with open(script, "w") as file:
        file.write("#!/bin/sh\nread x\n")
    os.chmod(script, 0o755)
    with subprocess.Popen([script], stdin=subprocess.PIPE) as child:
        stat = read_stat(child.pid)
        assert stat is not None
        assert stat.parent_pid == os.getpid()


def test_the_boot_id_is_a_uuid() -> None:
    assert len(read_boot_id()) == 36


def test_a_file_of_more_than_one_read_is_whole(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "big")
    for size in (0, 1, 65535, 65536, 65537, 200_000):
        with open(path, "wb") as file:
            file.write(b"x" * size)
        assert len(read_file(path)) == size


def test_a_handled_or_blocked_signal_reaches_an_init_and_no_other() -> None:
    script = "trap : USR1; echo; read x"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert can_reach_init(child.pid, signal.SIGUSR1)
        assert not can_reach_init(child.pid, signal.SIGUSR2)
    assert not can_reach_init(child.pid, signal.SIGUSR1)
