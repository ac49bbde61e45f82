"""The driver of a user to whom no cgroup is delegated: containers run, and nothing is limited.

Chosen by `choose_driver` for an ordinary user alone. Paths are empty; what needs a cgroup is
refused with what gives one. The engine finds the processes of such a container by their pid
namespace.
"""

from __future__ import annotations

from reconciler.cgroup.canonical import (
    LimitFacts,
    Only,
    Unsupported,
    all_limits,
    canonical_limits,
    is_limit,
)
from reconciler.cgroup.detect import Mode
from reconciler.cgroup.driver import Paths
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING
from reconciler.linux.clock import wall_s
from reconciler.model.config import Resources
from reconciler.model.isolation import DeviceRule
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

HOW_DELEGATED = "start it with `systemd-run --user --scope -p Delegate=yes`, or run it as root"


class NoCgroups:
    """All of `CgroupDriver` that can be had without cgroups; `reason` is why there are none."""

    def __init__(self, mode: Mode, reason: str) -> None:
        self.mode = mode
        self.reason = reason

    def base_paths(self) -> dict[str, str]:
        return {}

    def every_base_path(self) -> dict[str, str]:
        return {}

    def paths(self, base_name: str, id: str) -> dict[str, str]:
        return {}

    def create(self, paths: Paths) -> None:
        """Make nothing."""

    def facts(self) -> LimitFacts:
        return LimitFacts(
            fields=frozenset(), is_bfq=False, inherited_cpus=None, inherited_mems=None
        )

    def canonical_limits(self, resources: Resources) -> dict[str, Value]:
        return canonical_limits(resources, self.facts())

    def unsupported(self, resources: Resources) -> list[Unsupported]:
        wanted = all_limits(resources, self.facts())
        return [
            Unsupported(name, self.reason, HOW_DELEGATED)
            for name, value in wanted.items()
            if is_limit(value)
        ]

    def apply(
        self, paths: Paths, resources: Resources, previous: Resources | None, only: Only = None
    ) -> None:
        """Write nothing: what is limited was refused."""

    def read_limits(self, paths: Paths, resources: Resources | None = None) -> dict[str, Value]:
        return {}

    device_control = None

    def control_devices(self, paths: Paths, rules: tuple[DeviceRule, ...] | None) -> None:
        """Control nothing: an ordinary user's processes can make no nodes."""

    def read_stats(self, paths: Paths) -> Stats:
        from reconciler.model.stats import Stats

        return Stats(at=wall_s())

    def freeze(self, paths: Paths) -> None:
        raise ReconcilerError(ErrorCode.CgroupUnavailable, f"{self.reason}; {HOW_DELEGATED}")

    def thaw(self, paths: Paths) -> None:
        """Thaw nothing: nothing was frozen."""

    def freezer_state(self, paths: Paths) -> str:
        return "thawed"

    def processes(self, paths: Paths) -> list[int]:
        return []

    def kill(self, paths: Paths) -> None:
        """Kill nothing: with the init, which the engine kills, its pid namespace ends."""

    def remove(self, paths: Paths) -> None:
        """Remove nothing."""

    def remove_base(self, base_name: str) -> None:
        """Remove nothing."""

    def exists(self, paths: Paths) -> bool:
        return True

    def is_populated(self, paths: Paths) -> bool:
        return False

    def oom_kills(self, paths: Paths) -> int:
        return 0

    def clone_dir(self, paths: Paths) -> str | None:
        return None

    def join_files(self, paths: Paths, *, with_unified: bool = False) -> list[str]:
        return []
