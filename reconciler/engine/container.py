"""Container: one container, after libcontainer's interface of the same name.

Every method may find that another process has destroyed the container and then raises
ContainerDestroyed. Methods that change something hold the container's lock; all are safe to
call from any thread. Figures come from the kernel, never from memory.
"""

from __future__ import annotations

from _thread import allocate_lock

from reconciler.cgroup.canonical import Only
from reconciler.engine.failures import about, not_running
from reconciler.engine.fresh_cgroup import end_hooks, fresh_cgroup, remove_cgroup, start_init
from reconciler.engine.limits import changed_limits, read_limits
from reconciler.engine.process import Process
from reconciler.engine.run_state import (
    ask_to_end,
    await_killed,
    kill_all,
    read_status,
    signal_init,
)
from reconciler.engine.store import destroyed
from reconciler.engine.well_formed import check_config
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import (
    TYPE_CHECKING,
    Collection,
    Iterator,
    Sequence,
    contextmanager,
    suppress,
)
from reconciler.linux.proc import pids_beside, read_boot_id
from reconciler.model.config import Command, Config, Resources
from reconciler.model.frozen import replace
from reconciler.model.record import Notes, Record
from reconciler.model.state import ExitStatus, ProcessId, Status
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine
    from reconciler.engine.events import OomEvents
    from reconciler.engine.session import Session
    from reconciler.model.stats import Stats

_KILL_PATIENCE_S = 30.0


class Container:
    """A handle on one container; `record` is what the disk said when it was last read."""

    def __init__(self, engine: Engine, record: Record) -> None:
        self._engine = engine
        self._reading = allocate_lock()  # an older record never takes the place of a newer
        self.record = record

    @property
    def id(self) -> str:
        """The container's id."""
        return self.record.id

    @property
    def config(self) -> Config:
        """The Config that the container has."""
        return self.record.config

    @property
    def annotations(self) -> dict[str, str]:
        """The caller's own notes in the record."""
        return self.record.annotations

    def refresh(self) -> Record:
        """Read the record again and return it. Raises: ContainerDestroyed, RecordCorrupt."""
        try:
            with self._reading:
                self.record = self._engine.store.read(self.id)
                return self.record
        except ReconcilerError as error:
            if error.code is ErrorCode.ContainerNotExists:
                raise destroyed(self.id) from error
            raise

    # --- what is

    def status(self) -> Status:
        """Return the run state as kernel and record show it; DESTROYED when it is gone.

        Raises: RecordCorrupt, SystemError.
        """
        try:
            self.refresh()
        except ReconcilerError as error:
            if error.code is ErrorCode.ContainerDestroyed:
                return Status.DESTROYED
            raise
        return self._status()

    def processes(self) -> list[int]:
        """Return the host pids of all its processes, in full when paused too.

        Raises: ContainerDestroyed, SystemError.
        """
        with self._unlocked("list the processes of"):
            found = self.members()
        if not found:
            self.refresh()  # was it destroyed meanwhile?
        return found

    def members(self) -> list[int]:
        """Return what `processes` does, of the record as last read. Raises: SystemError."""
        with self._translate("list the processes of"):
            if self.record.cgroups:
                return self._engine.driver.processes(self.record.cgroups)
            init = self.record.init
            if init is None or not self._status().has_processes():
                return []
            return pids_beside(init.pid)

    def has_cgroup(self) -> bool:
        """Tell whether nobody has removed its cgroup, of the record as last read."""
        return self._engine.driver.exists(self.record.cgroups)

    def stats(self) -> Stats:
        """Return the cgroup's figures now. Raises: ContainerDestroyed, ContainerNotRunning."""
        with self._unlocked("read the figures of"):
            self._check_cgroup("read the figures of")
            if not self.has_cgroup():
                raise not_running(self.id, "read the figures of")
            return self._engine.driver.read_stats(self.record.cgroups)

    def limits(self) -> dict[str, Value]:
        """Return the limits in force by spec field, as the kernel shows; none without a cgroup.

        Raises: ContainerDestroyed, SystemError.
        """
        with suppress(OSError):
            return read_limits(self._engine, self.record)
        with self._locked():  # whoever removes it, or makes it anew, has done so by then
            if not self.has_cgroup():
                return {}
            with self._translate("read the limits of"):
                return read_limits(self._engine, self.record)

    # --- what changes it

    def start(self, command: Command | None = None, streams: Sequence[int] = ()) -> Process:
        """Start the init in fresh namespaces, or a further process with a `command`.

        Returns once it executes. A further process joins one that runs, there can be many; it
        lives until it ends or the container does. Its `streams` are as for `execute`; without
        them its input is empty and its output discarded.

        Raises: ContainerDestroyed, ContainerPaused, ContainerNotStopped (ContainerNotRunning with
        a `command`), ProcessNotExecuted, CommandNotFound, CommandNotExecutable, RootfsNotFound,
        MountSourceNotFound, UserNotFound, LimitNotSupported, LimitNotApplied, ConfigInvalid,
        StepFailed, NoSpace, PermissionDenied, MonitorUnavailable, MonitorLost.
        """
        if command is not None:
            session = self._launch_further(command, streams, lasts=True)
            return Process(session.pid, self, session=session)
        with self._locked():
            status = self._status()
            if status in (Status.PAUSED, Status.PAUSING):
                raise self._error(ErrorCode.ContainerPaused, "start", "it is paused")
            if status is Status.RUNNING:
                raise self._error(ErrorCode.ContainerNotStopped, "start", "it is running")
            plan = self._engine.make_launch_plan(self.record)
            with self._translate("make the cgroup of"), fresh_cgroup(self._engine, self.record):
                started = start_init(self._engine, self.record, plan)
            pid, ticks = int(started["pid"]), int(started["startTicks"])
            init = ProcessId(pid=pid, start_ticks=ticks, boot_id=read_boot_id())
            changed = {"init": init, "started_at": started["startedAt"], "exit": None}
            self.record = replace(self.record, **changed)
            return Process(pid, self, init=init)

    def execute(self, command: Command, streams: Sequence[int]) -> Session:
        """Run a further process that lives no longer than the session that is returned.

        Returns once it executes. `streams` are descriptors for standard input, output and error;
        with a terminal one socket, over which the terminal's master comes.

        Raises: ContainerDestroyed, ContainerNotRunning, ContainerPaused, ConfigInvalid,
        CommandNotFound, CommandNotExecutable, UserNotFound, StepFailed, MonitorUnavailable,
        MonitorLost.
        """
        return self._launch_further(command, streams, lasts=False)

    def _launch_further(self, command: Command, streams: Sequence[int], *, lasts: bool) -> Session:
        from reconciler.engine.further import launch_further

        with self._unlocked("execute a command in"):
            return launch_further(self._engine, self.record, command, streams, lasts=lasts)

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Return how the init ended, waiting for it; None when the time is over before.

        Raises: ContainerDestroyed, ContainerNotRunning when it was never started,
        MonitorUnavailable, MonitorLost.
        """
        with self._unlocked("wait for"):
            if timeout_s is not None and timeout_s <= 0:
                return self.record.exit  # as the monitor has noted it: nothing is waited for
            return self._engine.launcher.wait(self.id, timeout_s)

    def pending_exit(self) -> Session:
        """Return what becomes readable when the init ends and then tells how; close it.

        Raises: ContainerDestroyed, ContainerNotRunning, MonitorUnavailable, MonitorLost.
        """
        with self._unlocked("wait for"):
            if self.record.init is None:
                raise not_running(self.id, "wait for")
            return self._engine.launcher.pending_exit(self.id, self.record.init.pid)

    def oom(self) -> OomEvents:
        """Return a channel of the out-of-memory events from now on; close it.

        Raises: ContainerDestroyed, CgroupUnavailable, SystemError.
        """
        from reconciler.engine.events import OomEvents

        with self._unlocked("watch the memory of"):
            self._check_cgroup("watch the memory of")
            channels = self._engine.oom_channels.setdefault(self.id, [])
            directory = self._engine.store.directory(self.id)
            channel = OomEvents(directory, self.record.cgroups, channels)
            channels.append(channel)
            return channel

    def signal(self, number: int) -> None:
        """Send a signal to the init alone. Raises: ContainerDestroyed, ContainerNotRunning."""
        with self._unlocked("signal"):
            signal_init(self.record, number)

    def pause(self) -> None:
        """Begin to freeze all processes; the status passes through pausing to paused.

        Raises: ContainerDestroyed, ContainerNotRunning, SystemError.
        """
        with self._locked():
            if not self._status().has_processes():
                raise not_running(self.id, "pause")
            with self._translate("pause"), about(self.id, "pause"):
                self._engine.driver.freeze(self.record.cgroups)

    def resume(self) -> None:
        """Thaw all processes. Raises: ContainerDestroyed, ContainerNotRunning, SystemError."""
        with self._locked():
            if not self._status().has_processes():
                raise not_running(self.id, "resume")
            with self._translate("resume"):
                self._engine.driver.thaw(self.record.cgroups)

    def set(self, resources: Resources, only: Only = None, notes: Notes = None) -> None:
        """Give a container other limits, live when it runs; where one fails it keeps all it had.

        `only` these fields, as `resources.pids.max`; None: all. A memory limit below what it uses
        is reclaimed towards, and refused where that does not suffice: nothing is killed. `notes`:
        annotations that are written together with it.

        Raises: ContainerDestroyed, ConfigInvalid, LimitNotSupported, LimitNotApplied, SystemError.
        """
        with self._locked():
            self._engine.check_limits(resources, self.id)
            with changed_limits(self._engine.driver, self.record, resources, only):
                self._write(self.record.rewritten(replace(self.config, resources=resources), notes))

    def restore(self, fields: Collection[str]) -> None:
        """Set again in what runs what its Config says of fields, as `sysctl.NAME`.

        Raises: ContainerDestroyed, ContainerNotRunning, SystemError, as `execute` of the monitor.
        """
        from reconciler.engine import reach

        with self._unlocked("restore"):
            reach.restore(self._engine.launcher, self.record, fields)

    def stop(self, signal: int, grace_ns: int) -> ExitStatus | None:
        """End it: the signal to init, SIGKILL to all that is left after the grace.

        An init without a handler for the signal is killed at once, as the kernel would drop the
        signal (pid_namespaces(7)) and the grace be lost time. Returns the exit, None when it
        was not running.

        Raises: ContainerDestroyed, StopTimeout, SystemError.
        """
        with self._locked():
            if not self._status().has_processes():
                return self.record.exit
            engine, record = self._engine, self.record
            ended = ask_to_end(engine.launcher, engine.driver, record, signal, grace_ns)
            ended = ended or self._kill()
            end_hooks(engine, record)
            return ended

    def reconfigure(self, config: Config, notes: Notes = None) -> None:
        """Replace the Config of what does not run, or the environment of its next run.

        `notes` as of `set`.
        Raises: ContainerDestroyed, ContainerNotStopped, ConfigInvalid, NoSpace, SystemError.
        """
        check_config(self.id, config)
        with self._locked():
            is_same_run = replace(config, env=self.config.env) == self.config
            if not is_same_run and self._status().has_processes():
                raise self._error(ErrorCode.ContainerNotStopped, "reconfigure", "it is running")
            self._write(self.record.rewritten(config, notes))

    def annotate(self, changes: dict[str, str | None]) -> None:
        """Set annotations (None removes one). Raises: ContainerDestroyed, NoSpace, SystemError."""
        with self._locked():
            self._write(self.record.rewritten(self.config, changes))

    def destroy(self, *, keep_logs: bool = False) -> None:
        """Kill what runs and remove everything; does nothing when it is gone already.

        `keep_logs` keeps the logs, for one that takes its place.

        Raises: StopTimeout, PermissionDenied, SystemError.
        """
        for channel in self._engine.oom_channels.pop(self.id, ()):
            channel.end()
        try:
            with self._locked(lenient=True):
                if self._status().has_processes():
                    self._kill()
                with self._translate("remove the cgroup of"):
                    remove_cgroup(self._engine, self.record)
                kinds = ("overlay",) if keep_logs else ("logs", "overlay")
                self._engine.remove_data(self.id, kinds)
                self._engine.store.remove(self.id)
        except ReconcilerError as error:
            if error.code is not ErrorCode.ContainerDestroyed:
                raise

    # --- parts

    def _status(self) -> Status:
        return read_status(self._engine.driver, self.record)

    def _kill(self) -> ExitStatus:
        """SIGKILL everything in the cgroup and wait for the init's exit."""
        with self._translate("kill"):
            kill_all(self._engine.driver, self.record)
        exit_status = await_killed(self._engine.launcher, self.record, _KILL_PATIENCE_S)
        if exit_status is None:
            why = f"its init did not end within {_KILL_PATIENCE_S:.0f} s of SIGKILL"
            raise self._error(ErrorCode.StopTimeout, "stop", why)
        self.refresh()
        return exit_status

    @contextmanager
    def _locked(self, *, lenient: bool = False) -> Iterator[None]:
        with self._engine.store.lock(self.id):
            try:
                self.refresh()
            except ReconcilerError as error:
                if not lenient or error.code is not ErrorCode.RecordCorrupt:
                    raise
            yield

    @contextmanager
    def _unlocked(self, verb: str) -> Iterator[None]:
        """Read the record; say of what fails then whether a destroyer or the end is to blame."""
        init = self.refresh().init
        try:
            with self._translate(verb):
                yield
        except ReconcilerError as error:
            self.refresh()  # raises when it was destroyed meanwhile
            if error.code in (ErrorCode.SystemError, ErrorCode.StepFailed):
                with self._locked():  # whoever is just ending it has done so by then
                    if self.record.init != init or not self._status().has_processes():
                        raise not_running(self.id, verb) from error
            raise

    def _check_cgroup(self, verb: str) -> None:
        if not self.record.cgroups:
            cause = "it has no cgroup: its user has none delegated"
            raise self._error(ErrorCode.CgroupUnavailable, verb, cause)

    @contextmanager
    def _translate(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message, operation = f"cannot {verb} {self.id}", verb.split(maxsplit=1)[0]
            raise from_os_error(error, message, container=self.id, operation=operation) from error

    def _write(self, record: Record) -> None:
        with self._reading:
            self._engine.store.write(record)
            self.record = record

    def _error(self, code: ErrorCode, operation: str, why: str) -> ReconcilerError:
        message = f"cannot {operation} {self.id}: {why}"
        return ReconcilerError(code, message, container=self.id, operation=operation)
