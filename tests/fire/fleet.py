"""Fifty containers of several kinds, edited while they run; and what has to be true of them.

Called by the storm. What is expected is told by this file alone, and looked up in the kernel.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import kernel
from tests.e2e.instance import Instance, Json, shell, sleeper

# No backoff: what is killed is to be started again in the pass that finds it.
_AT_ONCE = {"backoff": {"initial": "0s"}}
# What every container has mounted that the storm unmounts.
MOUNTS = {"/tmp", "/dev/shm", "/var/tmp", "/run"}
_TICKER = "i=0; while :; do i=$((i+1)); echo $i; sleep 1; done"


@dataclass(slots=True, kw_only=True)
class Fleet:
    """The desired state by name, as it stands in the source directory."""

    instance: Instance
    rng: random.Random
    specs: dict[str, Json] = field(default_factory=dict)

    def fill(self, count: int) -> None:
        """Write so many specs."""
        for number in range(count):
            self._write(f"c{number:02}", self._invent())

    def edit(self) -> None:
        """Change something: a limit, a command, a state; add or remove a container."""
        choice = self.rng.randrange(10)
        name = self.rng.choice(sorted(self.specs))
        if choice == 0:
            self._write(f"n{self.rng.randrange(1000):03}", self._invent())
        elif choice == 1 and len(self.specs) > 40:
            del self.specs[name]
            self.instance.remove(f"{name}.yaml")
        elif choice < 6:
            self._write(name, self.specs[name] | self._limits())
        else:
            self._write(name, self._invent())

    def _write(self, name: str, spec: Json) -> None:
        self.specs[name] = spec
        self.instance.write(f"{name}.yaml", spec)

    def _limits(self) -> Json:
        memory, pids = self.rng.randrange(64, 256), self.rng.randrange(10, 100)
        return {"resources": {"memory": {"max": f"{memory}Mi"}, "pids": {"max": pids}}}

    def _invent(self) -> Json:
        common: dict[str, Any] = self._limits() | {"restart": _AT_ONCE}
        match self.rng.randrange(6):
            case 0:
                return shell(_TICKER, **common, logs={"maxSize": "64Ki", "maxFiles": 2})
            case 1:
                return sleeper(**common, state="paused")
            case 2:
                return sleeper(**common, oomScoreAdj=self.rng.randrange(100, 900))
            case 3:
                # no zombies and no children: the host's programs, seven processes deep
                return shell("sleep inf & sleep inf & wait", **common)
            case _:
                return sleeper(**common)

    def check(self) -> None:
        """Assert that exactly the desired containers run as desired, and nothing else is there."""
        items = self.instance.items()
        assert items.keys() == self.specs.keys()
        pids = {name: item["pid"] for name, item in items.items()}
        assert None not in pids.values(), {n: i for n, i in items.items() if i["pid"] is None}
        assert len(set(pids.values())) == len(pids)
        for name, spec in self.specs.items():
            self._check_one(name, spec, pids[name])
        self._check_leftovers(set(pids.values()))

    def _check_one(self, name: str, spec: Json, pid: int) -> None:
        memory, pids = spec["resources"]["memory"]["max"], spec["resources"]["pids"]["max"]
        score = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
        found = {
            "argv": kernel.argv(pid),
            "cgroups": {path.name for path in cgroups_below_root(pid)},
            "memory": kernel.memory_max(pid),
            "pids": kernel.pids_max(pid),
            "cpu": kernel.cpu_max(pid),
            "is frozen": kernel.is_frozen(pid),
            "score": score if "oomScoreAdj" in spec else None,  # not asked for: not kept
            "mounts": mount_points(pid) & MOUNTS,
            "host name": host_name(pid),
        }
        wanted = {
            "argv": spec["command"],
            "cgroups": {name},
            "memory": int(memory.removesuffix("Mi")) << 20,
            "pids": pids,
            "cpu": None,
            "is frozen": spec.get("state") == "paused",
            "score": spec.get("oomScoreAdj"),
            "mounts": MOUNTS,
            "host name": name,
        }
        assert found == wanted, f"{name}: {found} is not {wanted}"

    def _check_leftovers(self, inits: set[int]) -> None:
        names = self.specs.keys()
        roots = {root for pid in inits for root in kernel.instance_cgroups(pid)}
        for root in roots:
            assert {path.name for path in root.iterdir() if path.is_dir()} == names, root
            assert (root / "cgroup.procs").read_text() == "", root
        own = {kernel.namespace(pid, "pid") for pid in inits}
        members = {pid: _pid_namespace(pid) for pid in kernel.processes_below(roots)}
        strangers = [pid for pid, found in members.items() if found and found not in own]
        assert not strangers, strangers
        records = {path.name for path in (self.instance.run_dir / "containers").iterdir()}
        assert records == names
        # Not looked at: logs. Those of a container whose record somebody removed stay for a reader.
        assert len(self.instance.monitors()) == 1


def mount_points(pid: int) -> set[str]:
    """Return what is mounted in a process's mount namespace, as it sees it."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines}


def cgroups_below_root(pid: int) -> set[Path]:
    """Return a process's cgroups, without those hierarchies that nobody uses."""
    return set(kernel.cgroup_dirs(pid).values()) - set(kernel.cgroup_mounts().values())


def host_name(pid: int) -> str:
    """Return the host name in a process's UTS namespace."""
    command = ["nsenter", "--uts", "--target", str(pid), "hostname"]
    return subprocess.check_output(command, text=True).strip()


def _pid_namespace(pid: int) -> str | None:
    """Return a process's pid namespace, None when it has ended meanwhile."""
    return kernel.if_alive(lambda: kernel.namespace(pid, "pid"))
