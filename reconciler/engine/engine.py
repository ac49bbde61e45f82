"""Engine: creates, loads and lists containers; the entrance to this layer.

>>> from reconciler import Config, Engine
>>> engine = Engine(run_dir=RUN_DIR, state_dir=STATE_DIR)
>>> container = engine.create("web", Config(command=("sleep", "60")))
>>> process = container.start()
>>> str(container.status())
'running'
>>> container.destroy()

Safe to use from any thread. Nothing here is kept between calls but paths: what other
processes do is seen.
"""

from __future__ import annotations

import os

from reconciler.cgroup.choose import choose_driver
from reconciler.cgroup.detect import Mode
from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine import dirs
from reconciler.engine.container import Container
from reconciler.engine.failures import about
from reconciler.engine.limits import check_devices
from reconciler.engine.locks import held_lock
from reconciler.engine.orphans import end_orphans, sweep_cgroups
from reconciler.engine.own_mounts import needs_list
from reconciler.engine.store import Store
from reconciler.engine.well_formed import check_config, check_resources
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import TYPE_CHECKING, Any, Iterable, Iterator, cached_property, contextmanager
from reconciler.linux.clock import wall_s
from reconciler.model.config import Command, Config, Resources
from reconciler.model.frozen import replace
from reconciler.model.names import MAX_ID_LENGTH, MAX_NAME_LENGTH, explain_id
from reconciler.model.record import Record
from reconciler.monitor.names import SYSTEMD_NAME
from reconciler.monitor.run_file import read_run

if TYPE_CHECKING:
    from reconciler.cgroup.canonical import Unsupported
    from reconciler.engine.direct import DirectLauncher
    from reconciler.engine.events import OomEvents
    from reconciler.engine.monitor_client import ExitEvents, MonitorClient
    from reconciler.engine.systemd_place import SystemdPlace

_LOCK_NAME = "reconcile.lock"

Ids = list[str]
Containers = list[Container]
Errors = list[ReconcilerError]


class Engine:
    """One instance: a run directory, a state directory and a cgroup of its own.

    With a `launcher` inits are children of the caller, else of the instance's monitor.

    Raises: ConfigInvalid for a run directory whose path is too long, UnsafePath for one that others
    could change; CgroupUnavailable.
    """

    def __init__(
        self,
        *,
        run_dir: str | None = None,
        state_dir: str | None = None,
        cgroup_parent: str | None = None,
        launcher: DirectLauncher | None = None,
    ) -> None:
        self.run_dir = os.path.abspath(run_dir or dirs.default_run_dir())
        if launcher is None:
            dirs.check_run_dir(self.run_dir)
        self._direct = launcher
        self.has_given_cgroups = False  # somebody else makes them, and has done so
        self.state_dir = os.path.abspath(state_dir or dirs.default_state_dir())
        for directory in (self.run_dir, self.state_dir):
            dirs.check_owned(directory)
        parent = cgroup_parent or dirs.default_cgroup_parent()
        self._place: SystemdPlace | None = None
        if launcher is None and os.path.exists(os.path.join(self.run_dir, SYSTEMD_NAME)):
            from reconciler.engine.systemd_place import read_place

            self._place = read_place(self.run_dir)
            parent = parent or (self._place and self._place.cgroup)
        self.driver: CgroupDriver = choose_driver(parent)
        self.store = Store(self.run_dir)
        self.oom_channels: dict[str, list[OomEvents]] = {}  # by id, for destroy to end them
        self._base_name = dirs.instance_name(self.run_dir)

    @cached_property
    def monitor(self) -> MonitorClient:
        """The client of this instance's monitor; what only looks at things needs none."""
        from reconciler.engine.monitor_client import MonitorClient

        return MonitorClient(self.run_dir, self._place and self._place.restart_command)

    @property
    def launcher(self) -> MonitorClient | DirectLauncher:
        """What starts inits and further processes, and awaits their ends."""
        return self._direct or self.monitor

    # --- containers

    def create(
        self,
        container_id: str,
        config: Config,
        annotations: dict[str, str] | None = None,
        cgroups: dict[str, str] | None = None,
    ) -> Container:
        """Make a container that does not run yet, at once or not at all.

        `cgroups` are its directories where they are not the instance's to choose (none: {}).

        Raises: InvalidIdFormat, IdInUse, ConfigInvalid, LimitNotSupported, PermissionDenied,
        NoSpace, SystemError.
        """
        self._check_id(container_id, "create")
        # An OCI config may have no process before `start`, which tells (config.md, Process).
        check_config(container_id, config, needs_command=self._direct is None)
        self.check_limits(config.resources, container_id)
        self.store.prepare()
        record = Record(
            id=container_id,
            config=config,
            created_at=wall_s(),
            cgroups=self._paths(container_id) if cgroups is None else cgroups,
            annotations=annotations or {},
        )
        self.store.create(record)
        return Container(self, record)

    def load(self, container_id: str) -> Container:
        """Return an existing container.

        Raises: InvalidIdFormat, ContainerNotExists, RecordCorrupt.
        """
        self._check_id(container_id, "load")
        return Container(self, self.store.read(container_id))

    def handle(self, container_id: str) -> Container:
        """Return a handle on a container that need not exist, without reading its record.

        `status()` and `refresh()` read it; when it cannot be read, `destroy()` still works.

        Raises: InvalidIdFormat for what is a path: what it names is removed.
        """
        if os.path.basename(container_id) != container_id or container_id in ("", ".", ".."):
            self._check_id(container_id, "find")
        record = Record(
            id=container_id,
            config=Config(command=("unknown",)),
            created_at=0.0,
            cgroups=self._paths(container_id),
        )
        return Container(self, record)

    def _paths(self, container_id: str) -> dict[str, str]:
        return self.driver.paths(self._base_name, container_id)

    def ids(self) -> Ids:
        """Return the ids of all containers, damaged ones included, sorted."""
        return self.store.ids()

    def prepare(self) -> None:
        """Make the run directory. Raises: PermissionDenied, NoSpace, SystemError."""
        self.store.prepare()

    def ensure_monitor(self) -> None:
        """Start a monitor if there is none though containers run: it adopts them.

        Raises: MonitorUnavailable, PermissionDenied.
        """
        if not self.monitor.is_running() and any(self._has_open_run(name) for name in self.ids()):
            self.monitor.ping()

    def _has_open_run(self, container_id: str) -> bool:
        run = read_run(self.store.directory(container_id))
        return run is not None and run.get("exit") is None

    def check(self, container_id: str, config: Config) -> None:
        """Refuse a Config that could not be started, as far as that can be told beforehand.

        Nothing is changed: what runs can go on running.

        Raises: RootfsNotFound, MountSourceNotFound, UserNotFound, CommandNotFound,
        CommandNotExecutable, LimitNotSupported, NotSupported, ConfigInvalid.
        """
        from reconciler.engine.setup import check_command

        check_config(container_id, config)
        self.check_limits(config.resources, container_id)
        cgroups = self._paths(container_id)
        self._plan(Record(id=container_id, config=config, created_at=0.0, cgroups=cgroups))
        with about(container_id, "start"):
            check_command(config)

    def ensure_pausable(self, container_id: str) -> None:
        """Refuse what is to be paused where it has no cgroup. Raises: CgroupUnavailable."""
        if not (paths := self._paths(container_id)):
            with about(container_id, "pause"):
                self.driver.freeze(paths)

    def ensure_place(self) -> None:
        """Have the scope that systemd keeps containers in, if it does: somebody may have ended it.

        Raises: CgroupUnavailable.
        """
        if self._place is not None and not self.driver.exists(self.driver.base_paths()):
            from reconciler.engine.systemd_place import remake_place

            remake_place(self.run_dir, self._place)

    def retire(self) -> None:
        """Let the monitor end and remove the instance's cgroup, when nothing is left in it.

        Raises: SystemError.
        """
        try:
            self.monitor.retire()
            self.driver.remove_base(self._base_name)
        except OSError as error:
            raise from_os_error(error, "cannot retire the monitor") from error

    def list(self) -> Containers:
        """Return all containers whose records can be read, sorted by id."""
        return self._scan()[0]

    def list_corrupt(self) -> Errors:
        """Return an error (with `container`) for each record that cannot be read."""
        return self._scan()[1]

    def _scan(self) -> tuple[Containers, Errors]:
        containers: Containers = []
        corrupt: Errors = []
        for container_id in self.store.ids():
            try:
                containers.append(Container(self, self.store.read(container_id)))
            except ReconcilerError as error:
                if error.code is not ErrorCode.ContainerNotExists:
                    corrupt.append(error)
        return containers, corrupt

    def exits(self) -> ExitEvents:
        """Return a stream of exits from now on. Raises: MonitorUnavailable, MonitorLost."""
        self.store.prepare()
        return self.monitor.subscribe()

    @contextmanager
    def lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock that lets one reconciler at a time change things.

        Raises: LockTimeout, PermissionDenied.
        """
        self.store.prepare()
        with held_lock(os.path.join(self.run_dir, _LOCK_NAME), timeout_s):
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Clear away what was cut short, and what runs though its record was lost."""
        self.store.sweep()
        try:
            sweep_cgroups(self.driver, self.store, self._base_name)
        except OSError as error:
            raise from_os_error(error, "cannot clear away what a lost record has left") from error

    def end_orphans(self, pids: Iterable[int]) -> None:
        """Kill those of some processes that are of lost records; for who holds the lock."""
        end_orphans(self.store, pids)

    def check_limits(self, resources: Resources, container_id: str) -> None:
        """Refuse limits that this host cannot enforce. Raises: LimitNotSupported, ConfigInvalid."""
        check_resources(container_id, resources)
        try:
            missing = self.driver.unsupported(resources)
        except OSError as error:
            message = f"cannot tell which limits of {container_id} this host can enforce"
            raise from_os_error(error, message, container=container_id) from error
        if missing:
            field, reason, remedy = missing[0]
            others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            message = f"cannot enforce {field} of {container_id}: {reason}; {remedy}{others}"
            raise ReconcilerError(
                ErrorCode.LimitNotSupported, message, container=container_id, field=field
            )

    def unenforceable(self, config: Config) -> tuple[Unsupported, ...]:
        """Return the fields of a Config that this host cannot enforce. Raises: SystemError."""
        from reconciler.engine.unenforceable import find_unenforceable

        try:
            return tuple(find_unenforceable(config, self.driver, self._starter()))
        except OSError as error:
            raise from_os_error(error, "cannot tell what this host can enforce") from error

    def _starter(self) -> int:
        """Return the pid of who starts inits: the monitor, where one lives, else us."""
        is_monitored = self._direct is None and self.monitor.is_running()
        return int(self.monitor.ping()["pid"]) if is_monitored else os.getpid()

    def make_launch_plan(self, record: Record) -> dict[str, Any]:
        """Return the launch plan of a container, with its writable layer and FIFOs in place."""
        if record.config.rootfs.overlay:
            dirs.make_layer(self.state_dir, record.id)
        plan = self._plan(record)
        if record.config.logs.is_kept and self._direct is None:
            self.store.make_fifos(record.id)
        return plan

    def _plan(self, record: Record) -> dict[str, Any]:
        from reconciler.engine.host_needs import check_host
        from reconciler.engine.setup import Place, make_launch_plan

        place = Place(
            directory=self.store.directory(record.id),
            state_dir=self.state_dir,
            hidden=(self.run_dir, self.state_dir),
            cgroup_dir=self.driver.clone_dir(record.cgroups),
            join_files=self.driver.join_files(record.cgroups),
            mount_cgroup=self.driver.mode is Mode.V2,
            is_direct=self._direct is not None,
        )
        with about(record.id, "start"):
            check_devices(self.driver, record.config)
            if self._direct is None:
                check_host(record.config, self.driver, self._starter)
            return make_launch_plan(self._adapted(record), place)

    def _adapted(self, record: Record) -> Record:
        """Return the record with the Config that can be run: a user namespace needs changes."""
        config, hidden = record.config, (self.run_dir, self.state_dir)
        if os.geteuid() == 0 and not needs_list(config):
            return record
        from reconciler.engine import rootless

        if os.geteuid() != 0:
            config = rootless.adapt(config, hidden)
        config = rootless.list_mounts(config, hidden, is_v2=self.driver.mode is Mode.V2)
        return replace(record, config=config)

    def make_exec_plan(self, record: Record, command: Command) -> dict[str, Any]:
        """Return the plan for a further process in a running container."""
        from reconciler.engine.setup import make_exec_plan

        return make_exec_plan(
            self._adapted(record),
            command,
            cgroup_dir=self.driver.clone_dir(record.cgroups),
            join_files=self.driver.join_files(record.cgroups),
        )

    def make_socket(self, record: Record, family: int) -> int:
        """Return the descriptor of a TCP socket in the network of a container that runs.

        Raises: OSError; MonitorUnavailable, MonitorLost.
        """
        from reconciler.engine import reach

        return reach.make_socket(self.launcher, record, family)

    def connect_unix(self, record: Record, path: str, timeout_s: float) -> None:
        """Connect to a Unix socket in the root of a container that runs, and hang up.

        Raises: OSError (EAGAIN when the time is over); MonitorUnavailable, MonitorLost.
        """
        from reconciler.engine import reach

        reach.connect_unix(self.launcher, record, path, timeout_s)

    def _check_id(self, container_id: str, operation: str) -> None:
        longest = MAX_NAME_LENGTH if self._direct is None else MAX_ID_LENGTH
        problem = explain_id(container_id, longest)
        if problem is not None:
            message = f"cannot {operation} a container: {problem}"
            raise ReconcilerError(ErrorCode.InvalidIdFormat, message, operation=operation)

    def remove_data(self, container_id: str, kinds: tuple[str, ...]) -> None:
        """Remove `logs` or `overlay` (the writable layer). Raises: SystemError."""
        for kind in kinds:
            path = os.path.join(self.state_dir, kind, container_id)
            try:
                if os.path.lexists(path):
                    from reconciler.engine.removal import remove_tree

                    remove_tree(path)
            except OSError as error:
                raise from_os_error(error, f"cannot remove the {kind} of {container_id}") from error
