"""What another process does to the containers of an instance behind the reconciler's back.

Called by `interfere`. Each attack takes the Target of the moment and does its worst to it at once;
what it attacks may have gone meanwhile, which is none of its business. It touches nothing but the
instance's own containers, records and directories.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from tests.e2e import kernel

# What an attack on something that has just ended or is just being made may meet.
_GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.ENOTDIR, errno.EBUSY, errno.ENOTEMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One container, whatever of it there may be; `rng` is the seeded source of all choices."""

    run_dir: Path
    state_dir: Path
    name: str
    rng: random.Random

    @property
    def record(self) -> Path:
        """Return the record's directory."""
        return self.run_dir / "containers" / self.name

    @property
    def pid(self) -> int:
        """Return the init's pid. Raises: ProcessLookupError when nothing says which it is."""
        try:
            run = json.loads((self.record / "run.json").read_bytes())
            pid = int(run["pid"])
            if run["exit"] is None and self._is_in_own_cgroup(pid):
                return pid
        except (OSError, ValueError, TypeError, KeyError):
            pass  # a damaged or missing record: that was our own doing
        raise ProcessLookupError(errno.ESRCH, "no init is known")

    def _is_in_own_cgroup(self, pid: int) -> bool:
        """Tell whether it is surely ours: a pid from a file could by now be a stranger's."""
        return bool({*self.own_cgroups.values()} & {*kernel.cgroup_dirs(pid).values()})

    @property
    def engine(self) -> Engine:
        """Return an engine of our own for the instance."""
        return Engine(run_dir=str(self.run_dir), state_dir=str(self.state_dir))

    @property
    def own_cgroups(self) -> dict[str, Path]:
        """Return the directories of the container's cgroup by hierarchy, there or not.

        Whatever is written, is written below these: the cgroup of a process that is just ending
        is the root of its hierarchy (cgroups(7)).
        """
        paths = self.engine.handle(self.name).record.cgroups
        return {key: Path(path) for key, path in paths.items()}

    @property
    def cgroups(self) -> set[Path]:
        """Return those directories that its init is in."""
        return set(self.own_cgroups.values()) & set(kernel.cgroup_dirs(self.pid).values())

    @property
    def freezer(self) -> tuple[Path, str, str]:
        """Return the freezer's file, and what to write to freeze and to thaw."""
        own = self.own_cgroups
        if "unified" in own:
            return own["unified"] / "cgroup.freeze", "1", "0"
        return own["freezer"] / "freezer.state", "FROZEN", "THAWED"


def destroy_by_engine(target: Target) -> None:
    """Destroy it as a program does that uses the engine."""
    target.engine.handle(target.name).destroy()


def destroy_by_command(target: Target) -> None:
    """Destroy it as a user does."""
    own = {
        "RECONCILER_RUN_DIR": str(target.run_dir),
        "RECONCILER_STATE_DIR": str(target.state_dir),
    }
    command = [sys.executable, "-m", "reconciler", "destroy", target.name]
    subprocess.run(command, env=os.environ | own, capture_output=True, check=False, timeout=120)


def freeze(target: Target) -> None:
    """Freeze its cgroup."""
    path, frozen, _ = target.freezer
    path.write_text(frozen)


def thaw(target: Target) -> None:
    """Thaw its cgroup, though it may have to be paused."""
    path, _, thawed = target.freezer
    path.write_text(thawed)


def kill_init(target: Target) -> None:
    """Kill its first process."""
    os.kill(target.pid, signal.SIGKILL)


def stop_init(target: Target) -> None:
    """Stop its first process; a SIGCONT follows, as nothing tells a stopped from a sleeping one."""
    pid = target.pid
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)


def limit(target: Target) -> None:
    """Give it other limits."""
    own, rng = target.own_cgroups, target.rng
    memory, pids = str(rng.randint(32, 512) << 20), str(rng.randint(5, 50))
    v1 = [
        ("pids", "pids.max", pids),
        ("memory", "memory.limit_in_bytes", memory),
        ("cpu", "cpu.shares", str(rng.randint(2, 4000))),
        ("cpu", "cpu.cfs_quota_us", "50000"),
    ]
    v2 = [
        ("unified", "pids.max", pids),
        ("unified", "memory.max", memory),
        ("unified", "cpu.max", "50000 100000"),
    ]
    key, name, value = rng.choice(v1 if "memory" in own else v2)
    (own[key] / name).write_text(value)


def score(target: Target) -> None:
    """Make it another victim for the OOM killer."""
    Path(f"/proc/{target.pid}/oom_score_adj").write_text(str(target.rng.randint(0, 1000)))


def rename_host(target: Target) -> None:
    """Change its host name."""
    _enter(target.pid, "--uts", "hostname", "evil")


def move_out(target: Target) -> None:
    """Move its first process to the cgroup above its own."""
    pid = target.pid
    for path in target.cgroups:
        (path.parent / "cgroup.procs").write_text(str(pid))


def move_to_neighbour(target: Target) -> None:
    """Move its first process into another container's cgroup."""
    pid = target.pid
    for path in target.cgroups:
        others = sorted(one for one in path.parent.iterdir() if one.is_dir() and one != path)
        if others:
            (target.rng.choice(others) / "cgroup.procs").write_text(str(pid))


def remove_cgroup(target: Target) -> None:
    """Take everything out of its cgroups and remove them."""
    for path in target.cgroups:
        for pid in (path / "cgroup.procs").read_text().split():
            (path.parent / "cgroup.procs").write_text(pid)
        path.rmdir()


def remove_record(target: Target) -> None:
    """Remove its whole record."""
    shutil.rmtree(target.record)


def remove_part(target: Target) -> None:
    """Remove one file of its record: the state, the run or a FIFO."""
    (target.record / target.rng.choice(["state.json", "run.json", "stdout", "stderr"])).unlink()


def damage_record(target: Target) -> None:
    """Damage one file of its record."""
    path = target.record / target.rng.choice(["state.json", "run.json"])
    data = path.read_bytes()
    path.write_bytes(target.rng.choice([b"", data[:100], b"[]", target.rng.randbytes(200)]))


def unmount(target: Target) -> None:
    """Unmount one of its file systems, inside."""
    point = target.rng.choice(["/tmp", "/dev/shm", "/var/tmp", "/run"])
    _enter(target.pid, "--mount", "--pid", "umount", "--lazy", point)


def damage_state(target: Target) -> None:
    """Damage or remove what the reconciler remembers beside its records."""
    names = ["failures.json", "conditions.json", "health.json"]
    paths = [target.run_dir / name for name in names]
    paths += sorted((target.state_dir / "loader").glob("*.json"))
    path = target.rng.choice(paths)
    if path.exists():
        target.rng.choice([path.unlink, lambda: path.write_bytes(b"{") and None])()


def remove_logs(target: Target) -> None:
    """Remove its logs."""
    shutil.rmtree(target.state_dir / "logs" / target.name)


def remove_socket(target: Target) -> None:
    """Remove the monitor's socket."""
    (target.run_dir / "monitor.sock").unlink()


def remove_lock(target: Target) -> None:
    """Remove the monitor's lock and socket: another can start beside it."""
    (target.run_dir / "monitor.lock").unlink()
    (target.run_dir / "monitor.sock").unlink()


def kill_monitor(target: Target) -> None:
    """Kill the monitor."""
    for pid in kernel.processes_with("reconciler.monitor", f" {target.run_dir}"):
        os.kill(pid, signal.SIGKILL)


def kill_reconciler(target: Target) -> None:
    """Kill the daemon, or whatever command is at work."""
    source = str(target.run_dir.parent / "conf")
    for pid in kernel.processes_with("reconciler", source):
        if kernel.argv(pid)[0] == sys.executable:
            os.kill(pid, signal.SIGKILL)


def fill_disk(target: Target) -> None:
    """Fill the disk of the records or that of the logs, until a later attack makes room."""
    for directory in target.rng.sample([target.run_dir, target.state_dir], 1):
        with (directory / "filler").open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):  # full
                while True:
                    file.write(bytes(1 << 16))
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(256))


def make_room(target: Target) -> None:
    """Free what `fill_disk` took."""
    for directory in (target.run_dir, target.state_dir):
        (directory / "filler").unlink(missing_ok=True)


def _enter(pid: int, *command: str) -> None:
    """Run a command in namespaces of a process; it may have ended, or been attacked before."""
    words = ["nsenter", "--target", str(pid), *command]
    subprocess.run(words, capture_output=True, check=False)


Attack = Callable[[Target], None]

# How often each comes beside the others.
ATTACKS: dict[Attack, int] = {
    destroy_by_engine: 3,
    destroy_by_command: 1,
    freeze: 4,
    thaw: 2,
    kill_init: 5,
    stop_init: 1,
    limit: 8,
    score: 2,
    rename_host: 2,
    move_out: 3,
    move_to_neighbour: 3,
    remove_cgroup: 3,
    remove_record: 2,
    remove_part: 4,
    damage_record: 4,
    unmount: 3,
    damage_state: 2,
    remove_logs: 1,
    remove_socket: 1,
    remove_lock: 1,
    kill_monitor: 1,
    kill_reconciler: 1,
    fill_disk: 1,
    make_room: 3,
}


# What the instance's own errors may be while another attack has its effect.
_ALLOWED = (ErrorCode.NoSpace, ErrorCode.MonitorLost, ErrorCode.MonitorUnavailable)


def attack(chosen: Attack, target: Target) -> bool:
    """Carry it out and tell whether there was anything to attack."""
    try:
        chosen(target)
    except ReconcilerError as error:
        if error.code not in _ALLOWED:
            raise
        return False
    except OSError as error:
        if error.errno not in (*_GONE, errno.ENOSPC):
            raise
        return False
    return True
