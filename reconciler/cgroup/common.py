"""What the three drivers share: all of it but the choice of controllers. See `driver`.

A driver is a table of controllers, each with the key of the hierarchy it is in; the v1,
hybrid and v2 drivers differ in that table alone.
"""

from __future__ import annotations

import errno
import os

from reconciler.cgroup import core, device_control, tree
from reconciler.cgroup.canonical import (
    CPU_CPUS,
    CPU_MEMS,
    NET_CLASS_ID,
    NET_PRIORITIES,
    ON_DEMAND,
    LimitFacts,
    Limits,
    Only,
    Unsupported,
    all_limits,
    asked_fields,
    canonical_limits,
    changed_fields,
    is_limit,
    narrow,
)
from reconciler.cgroup.detect import Hierarchies, Mode
from reconciler.cgroup.driver import Controller, Paths
from reconciler.cgroup.files import read_text, rmdir
from reconciler.cgroup.placement import (
    DEVICES,
    FURTHER_V2,
    base_paths,
    enable_controllers,
    further_base_paths,
    nearest_existing,
    offered_controllers,
)
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING, Callable, NamedTuple, cached_property
from reconciler.linux.clock import wall_s
from reconciler.model.config import Resources
from reconciler.model.frozen import replace
from reconciler.model.isolation import DeviceRule
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

CPUSET, MEMORY, BLKIO, UNIFIED = "cpuset", "memory", "blkio", core.UNIFIED

Table = list[tuple[Controller, str]]
_NONE = Resources()
_OF_V1 = ("net_cls", "net_prio")
# Of fields that are not named after their controller.
_CONTROLLERS = {
    CPU_CPUS: CPUSET,
    CPU_MEMS: CPUSET,
    NET_CLASS_ID: "net_cls",
    NET_PRIORITIES: "net_prio",
}


class TableDriver:
    """A driver made of a table: controller module and the key of its hierarchy."""

    def __init__(
        self,
        hierarchies: Hierarchies,
        make_table: Callable[[Hierarchies], Table],
        parent: str | None,
    ) -> None:
        """Take what makes the table; `parent` as in `placement.base_paths`. Reads nothing.

        It is made when a limit is set or read: many containers have none.
        """
        self._hierarchies = hierarchies
        self._make_table = make_table
        self._parent = parent

    @property
    def mode(self) -> Mode:
        return self._hierarchies.mode

    @cached_property
    def _bases(self) -> dict[str, str]:
        bases = base_paths(self._hierarchies, self._parent)
        if DEVICES not in self._hierarchies.v1 or self._may_attach(bases):
            return bases
        return base_paths(self._hierarchies, self._parent, has_bpf=False)

    def _may_attach(self, bases: Paths) -> bool:
        """Tell whether BPF programs can control devices; they need the unified hierarchy."""
        return UNIFIED in bases and device_control.has_bpf(nearest_existing(bases[UNIFIED]))

    @cached_property
    def device_control(self) -> str | None:
        if DEVICES in self._bases:
            return "v1"
        return "bpf" if self._may_attach(self._bases) else None

    def control_devices(self, paths: Paths, rules: tuple[DeviceRule, ...] | None) -> None:
        has_bpf = UNIFIED in paths and self.device_control == "bpf"
        if DEVICES in paths:
            try:
                return device_control.write_v1(paths[DEVICES], rules or ())
            except ReconcilerError:  # v1 cannot express them, and has written nothing
                if not has_bpf:
                    raise
        if has_bpf:
            if rules is None:
                device_control.attach_default(os.path.dirname(paths[UNIFIED]))
            else:
                device_control.attach(paths[UNIFIED], rules)

    @cached_property
    def _offered(self) -> frozenset[str]:
        """The v2 controllers that containers can have."""
        unified = self._hierarchies.unified
        if unified is None:
            return frozenset()
        return offered_controllers(unified, self._bases[UNIFIED], self._parent)

    @cached_property
    def _table(self) -> Table:
        """The controllers that containers can have; on v2 those that we were delegated."""
        return [
            (controller, key)
            for controller, key in self._make_table(self._hierarchies)
            if key != UNIFIED or controller.NAME in (UNIFIED, *self._offered)
        ]

    def base_paths(self) -> dict[str, str]:
        return dict(self._bases)

    def every_base_path(self) -> dict[str, str]:
        bases = self.base_paths()
        return bases | further_base_paths(self._hierarchies, self._parent, bases)

    def paths(self, base_name: str, id: str) -> dict[str, str]:
        return {key: f"{base}/{base_name}/{id}" for key, base in self._bases.items()}

    def create(self, paths: Paths) -> None:
        made: list[str] = []
        try:
            for directory in core.directories(paths):
                made += tree.make(directory)
                self._prepare(paths, directory)
        except OSError as error:
            tree.unmake(made, error)
            raise

    def _prepare(self, paths: Paths, directory: str) -> None:
        """Give a new cgroup what its hierarchy does not by itself."""
        if directory == paths.get(CPUSET):
            from reconciler.cgroup.v1 import cpuset as v1_cpuset

            v1_cpuset.initialise(directory)
        unified = self._hierarchies.unified
        if unified and directory == paths.get(UNIFIED):
            self._enable(directory, self._offered - FURTHER_V2)

    def _enable(self, directory: str, controllers: frozenset[str]) -> None:
        """Have controllers in a container's cgroup of v2, and so in its neighbours' too."""
        unified = self._hierarchies.unified
        assert unified is not None
        enable_controllers(os.path.dirname(directory), unified.mount_point, controllers)

    def facts(self) -> LimitFacts:
        return replace(
            self._lasting_facts,
            inherited_cpus=self._inherited("cpuset.cpus"),
            inherited_mems=self._inherited("cpuset.mems"),
            inherited_swappiness=self._inherited_swappiness(),
        )

    def _facts_for(self, resources: Resources) -> LimitFacts:
        """Return the facts that matter to some resources: reading what is inherited takes time."""
        cpu, memory = resources.cpu, resources.memory
        is_inheriting = cpu.cpus or cpu.mems or memory.swappiness is not None or resources.unified
        return self.facts() if is_inheriting else self._lasting_facts

    @cached_property
    def _lasting_facts(self) -> LimitFacts:
        return LimitFacts(
            fields=self._shown_fields,
            is_bfq=self._is_bfq,
            has_shares="cpu" in self._bases,
            has_soft_limit=MEMORY in self._bases,
        )

    @cached_property
    def _shown_fields(self) -> frozenset[str]:
        """The fields that this kernel shows for a container's cgroup."""
        shown = (c.shown_fields(self._probe(key)) for c, key in self._table)
        return frozenset(field for fields in shown for field in fields)

    @cached_property
    def _is_bfq(self) -> bool:
        """Tell whether io.weight is BFQ's; v1 knows no other."""
        if BLKIO in self._bases:
            return True
        from reconciler.cgroup.v2 import io as v2_io

        return UNIFIED in self._bases and v2_io.has_bfq(self._probe(UNIFIED))

    def _inherited(self, name: str) -> str | None:
        if CPUSET not in self._bases:
            return None
        return read_text(f"{self._probe(CPUSET)}/{name}").strip()

    def _inherited_swappiness(self) -> int | None:
        if MEMORY not in self._bases:
            return None
        from reconciler.cgroup.v1 import memory as v1_memory

        return v1_memory.inherited_swappiness(self._probe(MEMORY))

    def _probe(self, key: str) -> str:
        """Return a directory that tells what cgroups below the base of a hierarchy can do."""
        return nearest_existing(self._bases[key])

    def canonical_limits(self, resources: Resources) -> dict[str, Value]:
        return canonical_limits(resources, self._facts_for(resources))

    def unsupported(self, resources: Resources) -> list[Unsupported]:
        if resources == _NONE:
            return []
        from reconciler.cgroup.v2 import unified as v2_unified

        wanted = all_limits(resources, self._facts_for(resources))
        found = v2_unified.find_troubles(
            (name for name, _ in resources.unified),
            self._probe(UNIFIED) if UNIFIED in self._bases else None,
        )
        if found:
            return found
        found = [
            item
            for controller, key in self._table
            if any(is_limit(wanted[field]) for field in controller.FIELDS)
            for item in controller.unsupported(self._probe(key), wanted)
        ]
        covered = {field for controller, _ in self._table for field in controller.FIELDS}
        missing = [
            name for name, value in wanted.items() if is_limit(value) and name not in covered
        ]
        return found + [self._missing(name) for name in missing]

    def _missing(self, field: str) -> Unsupported:
        controller = _CONTROLLERS.get(field) or field.split(".")[1]
        reason = f"this host has no {controller} cgroup controller"
        if self.mode is not Mode.V2:
            return Unsupported(field, reason, "mount its hierarchy, or boot with cgroup v2")
        if controller in _OF_V1:
            return Unsupported(field, f"cgroup v2 has no {controller} controller", "leave it out")
        return Unsupported(field, reason, f"delegate the {controller} controller to us")

    def apply(
        self, paths: Paths, resources: Resources, previous: Resources | None, only: Only = None
    ) -> None:
        if previous is None and resources == _NONE:
            return
        asked = self._asked(resources) | self._asked(previous or _NONE)
        facts = self._facts_for(resources)
        unset = all_limits(_NONE, facts)
        wanted = {name: unset[name] for name in asked & ON_DEMAND}
        wanted |= canonical_limits(resources, facts)
        written: list[_Written] = []
        try:
            for controller, key in self._table:
                ours = {name: wanted[name] for name in controller.FIELDS if name in wanted}
                if not ours or (previous is None and not any(map(is_limit, ours.values()))):
                    continue
                directory = _directory_of(controller, key, paths)
                if key == UNIFIED and controller.NAME in FURTHER_V2:
                    self._enable(directory, frozenset((controller.NAME,)))
                shown: Limits = {name: unset[name] for name in ours}
                if previous is not None:
                    shown = controller.read_limits(directory, asked)
                    ours = narrow(ours, shown, only)
                if not changed_fields(ours, shown):
                    continue
                written.append(_Written(controller, directory, shown))
                controller.write_limits(directory, ours, shown)
                _verify(ours, controller.read_limits(directory, asked), directory)
        except BaseException as error:
            _roll_back(written, error)
            raise

    def _asked(self, resources: Resources) -> frozenset[str]:
        return asked_fields(resources, has_soft_limit=MEMORY in self._bases)

    def read_limits(self, paths: Paths, resources: Resources | None = None) -> dict[str, Value]:
        limits: dict[str, Value] = {}
        asked = self._asked(resources or _NONE)
        for controller, key in self._table:
            if key in paths:
                limits.update(controller.read_limits(paths[key], asked))
        return limits

    def read_stats(self, paths: Paths) -> Stats:
        from reconciler.model.stats import Stats

        stats = Stats(at=wall_s())
        for controller, key in self._table:
            if key in paths:
                stats = controller.read_stats(paths[key], stats)
        return stats

    def freeze(self, paths: Paths) -> None:
        core.freeze(paths)

    def thaw(self, paths: Paths) -> None:
        core.thaw(paths)

    def freezer_state(self, paths: Paths) -> str:
        return core.freezer_state(paths)

    def processes(self, paths: Paths) -> list[int]:
        return core.processes(paths)

    def kill(self, paths: Paths) -> None:
        core.kill(paths)

    def remove(self, paths: Paths) -> None:
        for directory in core.directories(paths):
            tree.remove(directory)

    def remove_base(self, base_name: str) -> None:
        for base in core.directories(self._bases):
            try:
                rmdir(f"{base}/{base_name}")
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise

    def exists(self, paths: Paths) -> bool:
        return core.exists(paths)

    def is_populated(self, paths: Paths) -> bool:
        return core.is_populated(paths)

    def oom_kills(self, paths: Paths) -> int:
        return core.oom_kills(paths)

    def clone_dir(self, paths: Paths) -> str | None:
        return paths.get(UNIFIED)

    def join_files(self, paths: Paths, *, with_unified: bool = False) -> list[str]:
        # To v1's tasks a thread moves itself without the lock of all thread groups, whose
        # taking waits for RCU (cgroup_procs_write_start); a child before execve has one thread.
        unified = paths.get(UNIFIED)
        files = [f"{path}/tasks" for path in core.directories(paths) if path != unified]
        return [*files, f"{unified}/cgroup.procs"] if unified and with_unified else files


class _Written(NamedTuple):
    """A controller whose limits are being changed, and what it showed before."""

    controller: Controller
    path: str
    former: Limits


def _roll_back(written: list[_Written], error: BaseException) -> None:
    """Put former limits back, the last change first; what fails is noted on the first error."""
    for controller, path, former in reversed(written):
        try:
            controller.write_limits(path, former)
        except (OSError, ReconcilerError) as second:
            error.add_note(f"and the former limits cannot be put back: {second}")


def _directory_of(controller: Controller, key: str, paths: Paths) -> str:
    """Return the container's directory; a container of before the hierarchy was has none."""
    if key in paths:
        return paths[key]
    raise ReconcilerError(
        ErrorCode.LimitNotApplied,
        f"cannot apply {controller.FIELDS[0]}: it was made when this host had no {key} cgroup "
        "hierarchy; destroy it and apply again",
        field=controller.FIELDS[0],
    )


def _verify(wanted: Limits, got: Limits, path: str) -> None:
    for name, value in wanted.items():
        if name not in got or got[name] != value:
            has = got.get(name, "its file no more: was the cgroup removed?")
            raise ReconcilerError(
                ErrorCode.LimitNotApplied,
                f"cannot apply {name}: wrote {value}, the kernel has {has}",
                field=name,
                path=path,
            )
