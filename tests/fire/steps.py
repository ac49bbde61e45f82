"""Operations to be cut short at each step, and what has to be true of the world afterwards.

Owns the world: one container that nothing may touch, `stay`, and the one that is operated on.
A step is a kernel call of the reconciler's process, or of the monitor's and the init's it makes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import kernel
from tests.e2e.instance import COMMAND, Instance, Json, Result, discard, make_instance, sleeper
from tests.e2e.waiting import wait_until
from tests.fire.tracing import Point, attached, points, run_traced, was_injected

_AT_ONCE = {"backoff": {"initial": "0s"}}
RECONCILER, MONITOR = "reconciler", "monitor"


def spec(memory_mib: int = 64, **fields: object) -> Json:
    """Return the spec of a container that sleeps, in limits of its own."""
    limits = {"memory": {"max": f"{memory_mib}Mi"}, "pids": {"max": 20}}
    return sleeper(resources=limits, restart=_AT_ONCE, **fields)


@dataclass(slots=True, kw_only=True)
class World:
    """An instance; what it looks like when all is well, by the operation that led there."""

    instance: Instance
    files: dict[str, Json] = field(default_factory=dict)

    def want(self, wanted: Json | None) -> None:
        """Write the spec of the container that is operated on, or remove it."""
        if wanted is not None:
            self.instance.write("one.yaml", wanted)
        elif (self.instance.source / "one.yaml").exists():
            self.instance.remove("one.yaml")
        self.files.pop("one", None)
        if wanted is not None:
            self.files["one"] = wanted

    def settle(self) -> None:
        """One pass, as a fresh process."""
        self.instance.apply()

    def monitor(self) -> int:
        """Return the monitor's process."""
        (pid,) = self.instance.monitors()
        return pid

    def look(self) -> dict[str, object]:
        """Return all that could be left over, with nothing in it that a new run changes."""
        items = self.instance.items()
        (monitor,) = self.instance.monitors()
        inits = {item["pid"]: name for name, item in items.items() if item["pid"] is not None}
        return {
            "states": {name: (i["state"], i["pid"] is not None) for name, i in items.items()},
            "stay": items["stay"]["pid"],
            "limits": {name: kernel.memory_max(pid) for pid, name in inits.items()},
            "files": _files(self.instance),
            "records": _records(self.instance),
            "cgroups": sorted(
                str(p) for root in self.instance.cgroups for p in root.rglob("*/") if p.is_dir()
            ),
            "members": sorted(
                inits.get(pid, f"pid {pid}")
                for pid in set(kernel.processes_below(self.instance.cgroups))
            ),
            "processes": _processes(self.instance, set(inits) | {monitor}),
            "namespaces": len(_namespaces([monitor, *inits])),
            "mounts": kernel.mounts_below(self.instance.base),
            "descriptors": _descriptors(monitor),
            "children": _zombies(monitor),
        }


def _files(instance: Instance) -> list[str]:
    """Return all files but the note of which failures were told, which a failure leaves."""
    roots = (instance.run_dir, instance.state_dir)
    found = {str(p.relative_to(instance.base)) for root in roots for p in root.rglob("*")}
    return sorted(found - {"run/told.json"})


def _records(instance: Instance) -> dict[str, object]:
    """Return the Config and the noted spec of each record."""
    records: dict[str, object] = {}
    for path in sorted(instance.run_dir.glob("containers/*/state.json")):
        record = json.loads(path.read_text())
        noted = json.loads(record["annotations"]["reconciler/spec"])
        records[path.parent.name] = (record["config"], noted)
    return records


def _processes(instance: Instance, known: set[int]) -> list[str]:
    """Return processes of ours that are neither an init nor the monitor."""
    found = kernel.processes_with(str(instance.base))
    lines = {pid: kernel.if_alive(lambda pid=pid: kernel.argv(pid)) for pid in found}  # type: ignore[misc]
    return [str(line) for pid, line in lines.items() if pid not in known and line]


def _namespaces(pids: list[int]) -> set[str]:
    names = ("mnt", "pid", "uts", "ipc", "net", "cgroup")
    return {os.readlink(f"/proc/{pid}/ns/{name}") for pid in pids for name in names}


def _descriptors(pid: int) -> list[str]:
    """Return what a process has open, without numbers of inodes."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        target = kernel.if_alive(lambda fd=fd: os.readlink(f"/proc/{pid}/fd/{fd}"))  # type: ignore[misc]
        if target is not None:
            found.append(target.split(":[")[0])
    return sorted(found)


def _zombies(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(p) for p in children if kernel.proc_status(int(p))["State"].startswith("Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change: what is there before, and what is wanted then."""

    name: str
    before: Json | None
    after: Json | None
    prepare: Callable[[World], None] = lambda world: None
    is_adoption: bool = False


def _kill_init(world: World) -> None:
    os.kill(world.instance.pid("one"), 9)
    world.instance.wait_for("one", state="stopped")


def _kill_monitor(world: World) -> None:
    os.kill(world.monitor(), 9)
    wait_until(lambda: not world.instance.monitors(), "the monitor is dead")


OPERATIONS = (
    Operation(name="create", before=None, after=spec()),
    Operation(name="start", before=spec(), after=spec(), prepare=_kill_init),
    Operation(name="update", before=spec(), after=spec(96)),
    Operation(name="stop", before=spec(), after=spec(state="stopped")),
    Operation(name="destroy", before=spec(), after=None),
    Operation(name="adopt", before=spec(), after=spec(), prepare=_kill_monitor, is_adoption=True),
)


class Bench:
    """Runs one operation with a fault at one step, again and again in one world."""

    def __init__(self, operation: Operation, side: str) -> None:
        self.operation, self.side = operation, side
        self.world = World(instance=make_instance())
        self.scratch = self.world.instance.base / "scratch"
        self.scratch.mkdir()
        self.world.instance.write("stay.yaml", spec())

    def close(self) -> None:
        """Remove everything, whatever state it is in."""
        discard(self.world.instance)

    def dry_run(self) -> list[Point]:
        """Run it without a fault; return its points, and keep how the world looks then."""
        self._prepare()
        _, trace, first = self._operate(None)
        self.world.settle()
        self.rest = self.world.look()
        return list(points(trace, self.world.instance.base, first))

    def try_point(self, point: Point, fault: str) -> tuple[bool, Result]:
        """Run it with a fault; return whether the fault came, and what the user read."""
        self._prepare()
        result, trace, _ = self._operate(point.inject(fault))
        return was_injected(trace), result

    def check_recovery(self) -> list[str]:
        """Let one fresh pass follow; return what is not as it has to be then.

        What the monitor could not take over it tries again every second.
        """
        self.world.settle()
        if self.operation.is_adoption:
            with suppress(AssertionError):
                wait_until(lambda: not self.differences(), "all is taken over")
        return self.differences()

    def differences(self) -> list[str]:
        """Return how the world differs from one in which nothing went wrong."""
        look = self.world.look()
        expected = self.rest | {"stay": self.stay}
        return [
            f"{k}: {look[k]} instead of {expected[k]}" for k in expected if look[k] != expected[k]
        ]

    def litter(self) -> list[str]:
        """Return the temporary files that stand in the directories of records and state."""
        names = _files(self.world.instance)
        return [name for name in names if "/." in name or name.endswith(".tmp")]

    def _prepare(self) -> None:
        self.world.want(self.operation.before)
        self.world.settle()
        self.stay = self.world.instance.pid("stay")
        self.operation.prepare(self.world)
        self.world.want(self.operation.after)

    def _operate(self, inject: str | None) -> tuple[Result, str, str]:
        instance = self.world.instance
        if self.side == RECONCILER or self.operation.is_adoption:
            command = [*COMMAND, "apply", str(instance.source)]
            done = run_traced(command, instance.environ, self.scratch, inject)
            code = -9 if done.code is None else done.code
            result = Result(args=("apply",), code=code, out=done.text, err="")
            return result, done.trace, done.trace.split(maxsplit=1)[0]
        monitor = self.world.monitor()
        with attached(monitor, self.scratch, inject) as trace:
            result = instance.run("apply", instance.source, exits=None)
        return result, trace.read_text(), str(monitor)
