"""What is read from /proc of a process, and mended there; on real processes."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator

import pytest

from reconciler.control.process import _LIMIT_NAMES, mend_process, read_process
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.proc import read_boot_id, read_stat
from reconciler.model.config import Config, Rlimit
from reconciler.model.state import ProcessId

PLAIN = Config(command=("x",))


def rlimits(**limits: tuple[int | None, int | None]) -> tuple[Rlimit, ...]:
    return tuple(Rlimit(type=name, soft=one[0], hard=one[1]) for name, one in limits.items())


@pytest.fixture
def child() -> Iterator[ProcessId]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        stat = read_stat(process.pid)
        assert stat is not None
        yield ProcessId(pid=process.pid, start_ticks=stat.start_ticks, boot_id=read_boot_id())
        process.kill()


def test_identity_is_read_for_every_process(child: ProcessId) -> None:
    shown = read_process(child.pid, PLAIN)
    assert shown.keys() >= {"user", "security.capabilities", "security.noNewPrivileges"}
    assert "oomScoreAdj" not in shown


def test_a_process_that_has_ended_shows_nothing() -> None:
    assert read_process(2**22 + 1, PLAIN) == {}


def test_every_limit_has_the_name_that_the_kernel_shows(child: ProcessId) -> None:
    names = {name.upper(): (None, None) for name in _LIMIT_NAMES}
    shown = read_process(child.pid, Config(command=("x",), rlimits=rlimits(**names)))
    for name in _LIMIT_NAMES:
        known = (
            resource.prlimit(child.pid, getattr(resource, f"RLIMIT_{name.upper()}", 10))
            if (hasattr(resource, f"RLIMIT_{name.upper()}"))
            else None
        )
        if known is not None:
            expected = tuple(None if one == resource.RLIM_INFINITY else one for one in known)
            assert shown[f"rlimits.{name}"] == expected, name


def test_a_score_and_a_hard_limit_are_mended_and_a_lower_soft_limit_is_kept(
    child: ProcessId,
) -> None:
    limits = rlimits(NOFILE=(10, 20), CORE=(0, 0))
    config = Config(command=("x",), oom_score_adj=300, rlimits=limits)
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (5, 500))
    resource.prlimit(child.pid, resource.RLIMIT_CORE, (5, 500))
    paths = ["oomScoreAdj", "rlimits.nofile", "rlimits.core", "resources.pids.max"]
    mend_process("web", child, config, paths)
    shown = read_process(child.pid, config)
    assert shown["oomScoreAdj"] == 300
    assert (shown["rlimits.nofile"], shown["rlimits.core"]) == ((5, 20), (0, 0))


def test_a_stranger_with_the_same_pid_is_not_touched(child: ProcessId) -> None:
    stranger = ProcessId(pid=child.pid, start_ticks=1, boot_id=child.boot_id)
    config = Config(command=("x",), oom_score_adj=300)
    with pytest.raises(ReconcilerError) as caught:
        mend_process("web", stranger, config, ["oomScoreAdj"])
    assert caught.value.code is ErrorCode.ContainerNotRunning
    assert read_process(child.pid, config)["oomScoreAdj"] != 300
