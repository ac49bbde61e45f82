"""The one Protocol of the cgroup layer, and that of a controller. Called by the engine.

`paths` always maps hierarchy keys (`unified`, or a v1 controller's name) to the absolute
directory of one container's cgroup, as the container's record keeps it. Co-mounted v1
controllers share a directory; every method touches each directory once.
"""

from __future__ import annotations

from reconciler.cgroup.canonical import LimitFacts, Limits, Only, Unsupported
from reconciler.cgroup.detect import Mode
from reconciler.lean import TYPE_CHECKING, Collection, Mapping, Protocol
from reconciler.model.config import Resources
from reconciler.model.isolation import DeviceRule
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

Paths = Mapping[str, str]


class Controller(Protocol):
    """The functions of one controller's module; `path` is a container's, `base` where they lie.

    `write_limits` writes what differs from `shown`, all that is wanted without it. `asked` has
    the fields of `canonical.ON_DEMAND` that are to be read too.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def FIELDS(self) -> tuple[str, ...]: ...

    def shown_fields(self, base: str) -> tuple[str, ...]: ...
    def unsupported(self, base: str, wanted: Limits) -> list[Unsupported]: ...
    def write_limits(self, path: str, wanted: Limits, shown: Limits | None = None) -> None: ...
    def read_limits(self, path: str, asked: Collection[str] = ()) -> dict[str, Value]: ...
    def read_stats(self, path: str, stats: Stats) -> Stats: ...


class CgroupDriver(Protocol):
    """One container's cgroups on v1, hybrid or v2; `OSError` rises untouched from all methods."""

    @property
    def mode(self) -> Mode:
        """The kind of host."""

    def base_paths(self) -> dict[str, str]:
        """Return the directories below which all cgroups are made, by hierarchy key.

        Raises: CgroupUnavailable when there is none that can be used.
        """

    def every_base_path(self) -> dict[str, str]:
        """Return them for every hierarchy that we may write to, also those that are in no need.

        Those of v1 without a controller are by such as `name=systemd`.

        Raises: CgroupUnavailable as `base_paths`.
        """

    def paths(self, base_name: str, id: str) -> dict[str, str]:
        """Return the directories `<base>/<base_name>/<id>` by hierarchy key; makes nothing."""

    def create(self, paths: Paths) -> None:
        """Make the cgroups and what they need from their parents; undone when one fails.

        Raises: OSError with the path.
        """

    def facts(self) -> LimitFacts:
        """Return what canonical form depends on, for `canonical_limits`. Read afresh."""

    def canonical_limits(self, resources: Resources) -> dict[str, Value]:
        """Return what `read_limits` shows once `resources` were applied."""

    def unsupported(self, resources: Resources) -> list[Unsupported]:
        """Return the limits that cannot be enforced here; asked before anything starts."""

    def control_devices(self, paths: Paths, rules: tuple[DeviceRule, ...] | None) -> None:
        """Deny all devices but what `rules` and the default list allow; replaces former rules.

        `rules` None: the default list, once for all containers below the same directory. Nothing
        is done where there is no `device_control`.

        Raises: LimitNotSupported for rules that v1 cannot express, OSError.
        """

    @property
    def device_control(self) -> str | None:
        """How access to devices is controlled: `bpf`, `v1`, or None: not at all."""

    def apply(
        self, paths: Paths, resources: Resources, previous: Resources | None, only: Only = None
    ) -> None:
        """Write limits and read them back.

        `previous` None: a new cgroup, only what is set is written. Else every limit that
        differs from what the kernel shows is, None as unlimited. What this call has changed is
        put back when one limit fails; of an existing cgroup `only` these fields (paths) are
        changed, what else differs is somebody's; a memory limit below what is in use is reclaimed
        towards and kills nothing.

        Raises: LimitNotApplied when the kernel shows another value than the one written, or
        cannot reclaim enough for a lower memory limit; OSError with path and data.
        """

    def read_limits(self, paths: Paths, resources: Resources | None = None) -> dict[str, Value]:
        """Return the limits in canonical form by field path.

        Those of `canonical.ON_DEMAND` are among them that `resources` have.

        Raises: OSError with the path.
        """

    def read_stats(self, paths: Paths) -> Stats:
        """Return the figures of this moment.

        Raises: OSError with the path.
        """

    def freeze(self, paths: Paths) -> None:
        """Ask the kernel to freeze all processes; `freezer_state` tells when it is done."""

    def thaw(self, paths: Paths) -> None:
        """Ask the kernel to thaw all processes."""

    def freezer_state(self, paths: Paths) -> str:
        """Return `thawed`, `freezing` or `frozen`."""

    def processes(self, paths: Paths) -> list[int]:
        """Return the pids in the cgroup and in nested ones."""

    def kill(self, paths: Paths) -> None:
        """SIGKILL all processes so that none escapes; leaves the cgroup thawed."""

    def remove(self, paths: Paths) -> None:
        """Remove the cgroups with nested ones; waits up to 2 s for dying tasks to leave."""

    def remove_base(self, base_name: str) -> None:
        """Remove `<base>/<base_name>` where nothing is in it any more."""

    def exists(self, paths: Paths) -> bool:
        """Tell whether all directories are there."""

    def is_populated(self, paths: Paths) -> bool:
        """Tell whether a live process is in them."""

    def oom_kills(self, paths: Paths) -> int:
        """Return how many processes the OOM killer took since the cgroup was made."""

    def clone_dir(self, paths: Paths) -> str | None:
        """Return the directory to open for CLONE_INTO_CGROUP, None where there is no v2."""

    def join_files(self, paths: Paths, *, with_unified: bool = False) -> list[str]:
        """Return the files into which a process writes `0` to join.

        Those of the v1 hierarchies; `with_unified` also v2's, for want of CLONE_INTO_CGROUP.
        """
