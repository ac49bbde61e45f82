"""What `doctor` asks about this instance: cgroups and limits, directories, what is left over.

Called by `doctor`. It changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.cli.checks import FAIL, OK, WARN, Check
from reconciler.cli.output import plural

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine
    from reconciler.model.config import Resources

_MIB = 2**20
_RUN_FREE, _STATE_FREE = 16 * _MIB, 256 * _MIB


def check_instance(engine: Engine) -> Iterator[Check]:
    """Yield the answers. Raises: nothing that only one of them concerns."""
    from reconciler.cgroup.none import HOW_DELEGATED, NoCgroups
    from reconciler.errors import ReconcilerError

    yield _directory("run directory", engine.run_dir, _RUN_FREE, "--run-dir")
    yield _directory("state directory", engine.state_dir, _STATE_FREE, "--state-dir")
    try:
        bases = engine.driver.base_paths()
    except (ReconcilerError, OSError) as error:
        how = "mount one, delegate one to us, or choose one with --cgroup-parent"
        yield Check("cgroups", FAIL, str(error), how)
        return
    if isinstance(engine.driver, NoCgroups):
        yield Check("cgroups", WARN, f"{engine.driver.reason}: nothing is limited", HOW_DELEGATED)
    else:
        where = ", ".join(sorted({*bases.values()}))
        yield Check("cgroups", OK, f"{engine.driver.mode}, below {where}")
    yield from _limits(engine)
    yield from _monitor(engine)
    yield from _records(engine)
    yield from _unenforced(engine)
    yield from _strangers(engine, sorted({*bases.values()}))


def _unenforced(engine: Engine) -> Iterator[Check]:
    """Yield what containers run without, as their specs only prefer it."""
    from reconciler.cli.look import look_at_all
    from reconciler.errors import ReconcilerError

    try:
        unenforced = look_at_all(engine).unenforced
    except ReconcilerError as error:
        how = f"see: reconciler explain {error.code.name}"
        yield Check("preferred fields", WARN, str(error), how)
        return
    for name, fields in unenforced.items():
        for one in fields:
            yield Check(name, WARN, f"runs without {one.field}: {one.reason}", one.how)


def _directory(name: str, path: str, wanted_bytes: int, option: str) -> Check:
    existing = path
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    if not os.access(existing, os.W_OK | os.X_OK):
        how = f"run as its owner, or choose another with {option}"
        return Check(name, FAIL, f"{path}: {existing} is not writable", how)
    room = os.statvfs(existing)
    free_bytes = room.f_bavail * room.f_frsize
    found = f"{path}: {_mib(free_bytes)} free"
    if free_bytes < _MIB or (room.f_files and not room.f_favail):
        return Check(name, FAIL, found, f"make room there, or choose another with {option}")
    if free_bytes < wanted_bytes:
        return Check(name, WARN, found, "make room there, or keep fewer logs (logs.maxSize)")
    return Check(name, OK, found)


def _mib(size_bytes: int) -> str:
    from reconciler.model.quantity import format_size_rounded

    return format_size_rounded(size_bytes)


def _limits(engine: Engine) -> Iterator[Check]:
    """Ask the driver for each field of a spec's resources whether it could enforce it."""
    for field, resources in _samples():
        problems = [one for one in engine.driver.unsupported(resources) if one.field == field]
        if problems:
            yield Check(field, WARN, problems[0].reason, problems[0].how)
        else:
            yield Check(field, OK, "can be enforced")


def _samples() -> Iterator[tuple[str, Resources]]:
    """Yield each field with resources that ask for it."""
    from reconciler.model.config import (
        CpuLimits,
        IoDeviceLimits,
        IoLimits,
        MemoryLimits,
        PidsLimits,
        Resources,
    )

    most = 64 * _MIB
    for name, memory in (
        ("max", MemoryLimits(max_bytes=most)),
        ("high", MemoryLimits(high_bytes=most)),
        ("swap", MemoryLimits(max_bytes=most, swap_bytes=most)),
    ):
        yield f"resources.memory.{name}", Resources(memory=memory)
    for name, cpu in (
        ("max", CpuLimits(max_milli=1000)),
        ("weight", CpuLimits(weight=200)),
        ("cpus", CpuLimits(cpus=str(min(os.sched_getaffinity(0))))),
        ("mems", CpuLimits(mems="0")),
    ):
        yield f"resources.cpu.{name}", Resources(cpu=cpu)
    yield "resources.pids.max", Resources(pids=PidsLimits(max=100))
    yield "resources.io.weight", Resources(io=IoLimits(weight=200))
    device = next(iter(_block_devices()), None)
    if device is not None:
        throttle = IoDeviceLimits(device=device, read_bytes=_MIB)
        yield "resources.io.max", Resources(io=IoLimits(max=(throttle,)))


def _block_devices() -> Iterator[str]:
    """Yield the block devices as MAJOR:MINOR."""
    if os.path.isdir("/sys/block"):
        for name in sorted(os.listdir("/sys/block")):
            with open(f"/sys/block/{name}/dev") as file:
                yield file.read().strip()


def _monitor(engine: Engine) -> Iterator[Check]:
    alive = [one.id for one in engine.list() if one.status().has_processes()]
    if engine.monitor.is_running():
        yield Check("monitor", OK, f"serves {plural(len(alive), 'running container')}")
    elif alive:
        what = f"dead, while {plural(len(alive), 'container')} still run: exits and logs wait"
        yield Check("monitor", WARN, what, "have a new one started: reconciler apply")
    else:
        yield Check("monitor", OK, "not needed: nothing runs")


def _records(engine: Engine) -> Iterator[Check]:
    corrupt = engine.list_corrupt()
    for error in corrupt:
        name = error.container
        how = (
            f"reconciler apply makes it anew where a file names it, else: reconciler destroy {name}"
        )
        yield Check(f"record of {name}", WARN, str(error), how)
    if not corrupt:
        yield Check("records", OK, f"{len(engine.ids())}, all readable")


def _strangers(engine: Engine, bases: list[str]) -> Iterator[Check]:
    """Yield the cgroups of this instance that no record knows."""
    from reconciler.engine.dirs import instance_name

    known = set(engine.ids())
    found = False
    for base in bases:
        directory = os.path.join(base, instance_name(engine.run_dir))
        if not os.path.isdir(directory):
            continue
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if os.path.isdir(path) and name not in known:
                found = True
                yield Check("left-over cgroup", WARN, path, _mend(path))
    if not found:
        yield Check("left-over cgroups", OK, "none")


def _mend(path: str) -> str:
    from reconciler.cgroup.files import read_text

    pids = read_text(f"{path}/cgroup.procs").split()
    end = f"kill {' '.join(pids)} && " if pids else ""
    return f"{end}rmdir {path}"
