"""What is done with an init that was just cloned, by the monitor or without it."""

from __future__ import annotations

from reconciler.cgroup import core
from reconciler.lean import Any, signal, suppress
from reconciler.linux.clock import wall_s
from reconciler.linux.proc import read_stat
from reconciler.linux.reaping import await_end
from reconciler.monitor.run_file import read_run

# What is killed has ended after it, but for what a tracer holds, or a device. Nobody else is served
# meanwhile.
_KILL_PATIENCE_S = 0.5


def make_run(plan: dict[str, Any], pid: int, boot_id: str) -> dict[str, Any]:
    """Return the content of a new run file for the launch plan's container."""
    stat = read_stat(pid)
    before = read_run(plan["directory"])
    return {
        "pid": pid,
        "startTicks": stat.start_ticks if stat else 0,
        "bootId": boot_id,
        "startedAt": wall_s(),
        "logStreams": plan["logStreams"],
        "logDir": plan["logDir"],
        "logSize": plan["logSize"],
        "logFiles": plan["logFiles"],
        "cgroups": plan["cgroups"],
        "oomKills": core.oom_kills(plan["cgroups"]),
        "logLost": None,
        "exit": None,
        "lastExit": before["exit"] if before is not None else None,
    }


def kill_and_reap(pid: int, pidfd: int) -> None:
    """End a child of ours whose container cannot be kept, and collect it."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    with suppress(ChildProcessError):
        await_end(pid, pidfd, _KILL_PATIENCE_S)
