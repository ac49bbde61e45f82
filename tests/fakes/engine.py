"""An engine in memory: the same interface and refusals as the real one, no kernel.

tests/contract holds it equal to the real engine where control relies on it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from reconciler.cgroup.canonical import LimitFacts, Only, Unsupported, canonical_limits
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import Command, Config, Resources
from reconciler.model.frozen import replace
from reconciler.model.record import Notes, Record
from reconciler.model.state import ExitStatus, ProcessId, Status
from reconciler.model.value import Value

FACTS = LimitFacts(
    fields=frozenset({"resources.memory.max", "resources.pids.max", "resources.cpu.max"})
)


@dataclass
class Cell:
    """One container: its record, and what the kernel would show of it."""

    record: Record
    status: Status = Status.CREATED
    limits: dict[str, Value] = field(default_factory=dict)


class FakeStore:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine

    def ids(self) -> list[str]:
        return sorted(self.engine.cells.keys() | self.engine.corrupt)


class FakeDriver:
    def facts(self) -> LimitFacts:
        return FACTS


class FakeEngine:
    """Containers by id in `cells`; `calls` tells what was asked, `failing` what is to fail."""

    def __init__(self, run_dir: str, state_dir: str, clock: Callable[[], float]) -> None:
        self.run_dir = run_dir
        self.state_dir = state_dir
        self.driver = FakeDriver()
        self.store = FakeStore(self)
        self.clock = clock
        self.cells: dict[str, Cell] = {}
        self.corrupt: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], BaseException] = {}
        self.exit_codes: dict[str, int] = {}
        self.streams: list[FakeExits] = []
        self.unsupported: list[Unsupported] = []
        self.is_locked = False
        self.mutex = threading.RLock()
        self.last_pid = 2**22 + 100  # above pid_max: never a real process

    # --- what tests do to it

    def end(self, name: str, code: int | None = 0, signal: int | None = None) -> None:
        """Have an init end by itself."""
        cell = self.cells[name]
        ended = ExitStatus(code=code, signal=signal, oom=False, at=self.clock())
        cell.record = replace(cell.record, exit=ended)
        cell.status = Status.STOPPED
        cell.limits = {}
        for stream in self.streams:
            stream.tell(name, ended)

    def verbs(self, name: str) -> list[str]:
        return [verb for verb, of in self.calls if of == name]

    def note(self, verb: str, name: str) -> None:
        with self.mutex:
            self.calls.append((verb, name))
        if (verb, name) in self.failing:
            raise self.failing[verb, name]

    # --- the interface

    def create(
        self, container_id: str, config: Config, annotations: dict[str, str] | None = None
    ) -> FakeContainer:
        self.note("create", container_id)
        if container_id in self.cells or container_id in self.corrupt:
            raise error(ErrorCode.IdInUse, container_id)
        record = Record(
            id=container_id,
            config=config,
            created_at=self.clock(),
            annotations=dict(annotations or {}),
        )
        self.cells[container_id] = Cell(record)
        return FakeContainer(self, record)

    def load(self, container_id: str) -> FakeContainer:
        if container_id in self.corrupt:
            raise error(ErrorCode.RecordCorrupt, container_id)
        if container_id not in self.cells:
            raise error(ErrorCode.ContainerNotExists, container_id)
        return FakeContainer(self, self.cells[container_id].record)

    def ensure_monitor(self) -> None:
        """There is no monitor to be lost."""

    def exits(self) -> FakeExits:
        self.streams.append(FakeExits())
        return self.streams[-1]

    def unenforceable(self, config: Config) -> list[Unsupported]:
        """Return what a test says of those fields that are set."""
        return [one for one in self.unsupported if one.field == "resources.pids.max"]

    def check(self, container_id: str, config: Config) -> None:
        """Fail where a test says so, as the real engine does before anything is stopped."""
        if ("check", container_id) in self.failing:
            raise self.failing["check", container_id]

    def ensure_pausable(self, container_id: str) -> None:
        """Say nothing: whatever there is can be paused."""

    def handle(self, container_id: str) -> FakeContainer:
        record = Record(id=container_id, config=Config(command=("unknown",)), created_at=0.0)
        return FakeContainer(self, record)

    def make_socket(self, record: Record, family: int) -> int:
        return socket.socket(family, socket.SOCK_STREAM).detach()

    def connect_unix(self, record: Record, path: str, timeout_s: float) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(path)

    @contextlib.contextmanager
    def lock(self, timeout_s: float) -> Iterator[None]:
        if self.is_locked:
            raise ReconcilerError(ErrorCode.LockTimeout, f"no lock within {timeout_s} s")
        self.is_locked = True
        try:
            yield
        finally:
            self.is_locked = False

    def remove_data(self, container_id: str, kinds: tuple[str, ...]) -> None:
        """Do nothing: nothing is ever written here."""

    def end_orphans(self, pids: Iterable[int]) -> None:
        """Say nothing: no record is ever lost here."""
        assert self.is_locked


class FakeContainer:
    def __init__(self, engine: FakeEngine, record: Record) -> None:
        self.engine = engine
        self.record = record

    @property
    def id(self) -> str:
        return self.record.id

    def status(self) -> Status:
        self.engine.note("status", self.id)
        if self.id in self.engine.corrupt:
            raise error(ErrorCode.RecordCorrupt, self.id)
        if self.id not in self.engine.cells:
            return Status.DESTROYED
        self.record = self.cell().record
        return self.cell().status

    def limits(self) -> dict[str, Value]:
        self.engine.note("limits", self.id)
        return dict(self.cell().limits)

    def processes(self) -> list[int]:
        init = self.cell().record.init
        return [init.pid] if init is not None and self.cell().status.has_processes() else []

    def execute(self, command: Command, streams: list[int]) -> FakeSession:
        """Have the command end at once, with the code that a test has put into `exit_codes`."""
        self.engine.note(f"execute {' '.join(command.argv)}", self.id)
        if self.cell().status is not Status.RUNNING:
            raise error(ErrorCode.ContainerNotRunning, self.id)
        code = self.engine.exit_codes.get(self.id, 0)
        return FakeSession(ExitStatus(code=code, signal=None, oom=False, at=self.engine.clock()))

    def members(self) -> list[int]:
        return []

    def start(self) -> object:
        cell = self.cell()
        if cell.status in (Status.PAUSED, Status.PAUSING):
            raise error(ErrorCode.ContainerPaused, self.id)
        if cell.status is Status.RUNNING:
            raise error(ErrorCode.ContainerNotStopped, self.id)
        self.engine.note("start", self.id)
        self.engine.last_pid += 1
        init = ProcessId(pid=self.engine.last_pid, start_ticks=1, boot_id="b")
        now = self.engine.clock()
        cell.record = replace(cell.record, init=init, started_at=now, exit=None)
        cell.status = Status.RUNNING
        cell.limits = canonical_limits(cell.record.config.resources, FACTS)
        return init

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        self.engine.note("wait", self.id)
        if self.cell().record.init is None:
            raise error(ErrorCode.ContainerNotRunning, self.id)
        return self.cell().record.exit

    def stop(self, signal: int, grace_ns: int) -> ExitStatus | None:
        cell = self.cell()
        if cell.status.has_processes():
            self.engine.note(f"stop {signal} {grace_ns}", self.id)
            self.engine.end(self.id, None, signal)
        return cell.record.exit

    def set(self, resources: Resources, only: Only = None, notes: Notes = None) -> None:
        self.engine.note("set", self.id)
        cell = self.cell()
        if cell.status.has_processes():
            limits = canonical_limits(resources, FACTS)
            cell.limits |= {key: limits[key] for key in limits if only is None or key in only}
        config = replace(cell.record.config, resources=resources)
        self.write(cell.record.rewritten(config, notes))

    def restore(self, fields: Collection[str]) -> None:
        self.engine.note(f"restore {' '.join(sorted(fields))}", self.id)

    def signal(self, number: int) -> None:
        self.engine.note(f"signal {number}", self.id)
        if not self.cell().status.has_processes():
            raise error(ErrorCode.ContainerNotRunning, self.id)

    def pause(self) -> None:
        self.change("pause", Status.PAUSED)

    def resume(self) -> None:
        self.change("resume", Status.RUNNING)

    def reconfigure(self, config: Config, notes: Notes = None) -> None:
        self.engine.note("reconfigure", self.id)
        is_same_run = replace(config, env=self.record.config.env) == self.record.config
        if not is_same_run and self.cell().status.has_processes():
            raise error(ErrorCode.ContainerNotStopped, self.id)
        self.write(self.cell().record.rewritten(config, notes))

    def annotate(self, changes: dict[str, str | None]) -> None:
        self.engine.note("annotate", self.id)
        record = self.cell().record
        self.write(record.rewritten(record.config, changes))

    def destroy(self, *, keep_logs: bool = False) -> None:
        self.engine.note("destroy" + (" keep_logs" if keep_logs else ""), self.id)
        self.engine.cells.pop(self.id, None)
        self.engine.corrupt.discard(self.id)

    def cell(self) -> Cell:
        if self.id not in self.engine.cells:
            raise error(ErrorCode.ContainerDestroyed, self.id)
        return self.engine.cells[self.id]

    def change(self, verb: str, status: Status) -> None:
        self.engine.note(verb, self.id)
        if not self.cell().status.has_processes():
            raise error(ErrorCode.ContainerNotRunning, self.id)
        self.cell().status = status

    def write(self, record: Record) -> None:
        self.cell().record = record
        self.record = record


class FakeExits:
    """Exits as they happen: its descriptor is readable while there are some to be read."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.untold: list[tuple[str, ExitStatus]] = []
        self.is_closed = False
        self.mutex = threading.Lock()

    def tell(self, name: str, exit_status: ExitStatus) -> None:
        with self.mutex:
            if not self.is_closed:
                self.untold.append((name, exit_status))
                os.eventfd_write(self.fd, 1)

    def fileno(self) -> int:
        return self.fd

    def read(self) -> list[tuple[str, ExitStatus]]:
        with self.mutex:
            told, self.untold = self.untold, []
            if told:
                os.eventfd_read(self.fd)
        return told

    def close(self) -> None:
        with self.mutex:
            self.is_closed = True
            os.close(self.fd)


class FakeSession:
    """A process that has ended: its descriptor is readable."""

    pid = 2**22 + 1

    def __init__(self, exit_status: ExitStatus) -> None:
        self.exit_status = exit_status
        self.fd = os.eventfd(1)

    def fileno(self) -> int:
        return self.fd

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        return self.exit_status

    def close(self) -> None:
        os.close(self.fd)


def error(code: ErrorCode, name: str) -> ReconcilerError:
    return ReconcilerError(code, f"{code.name}: {name}", container=name)
