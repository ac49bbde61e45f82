"""Records of containers on disk: `RUN_DIR/containers/ID/`, made, read, locked and removed.

    state.json       the Record: written by whoever holds the container's lock
    run.json         the running init and its exit: written by the monitor alone
    stdout, stderr   FIFOs that the monitor reads, where output is kept; made at the start

A record appears by one rename and disappears by one rename; directories that start with a
dot are neither and are swept. The lock of a container is flock(2) on its directory.
"""

from __future__ import annotations

import fcntl
import itertools
import os

from reconciler.cgroup.readings import Readings
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Any, Iterator, NamedTuple, Sequence, contextmanager, json, suppress
from reconciler.linux.proc import read_file
from reconciler.model.codec import from_dict, to_dict
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.state import ExitStatus, ProcessId
from reconciler.model.value import Value
from reconciler.monitor.run_file import parse_run, read_run_text, temporary_of, write_json

STATE_FILE = "state.json"
STREAMS = ("stdout", "stderr")
_counter = itertools.count()


class _Decoded(NamedTuple):
    """A record with the contents of the files that it was made from."""

    state: bytes
    run: bytes
    record: Record


class LimitsRead(NamedTuple):
    """The limits of a record's container with what was read for them."""

    record: Record
    readings: Readings
    limits: dict[str, Value]


class Store:
    """The record directory of one engine instance."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self.containers_dir = os.path.join(run_dir, "containers")
        # What this process has written last need not be understood again: 5 ms in a new process.
        self._written: tuple[bytes, Record] | None = None
        self._read: dict[str, _Decoded] = {}  # nor is what stays the same
        self.limits_read: dict[str, LimitsRead] = {}

    def prepare(self) -> None:
        """Make the directories, for their owner alone.

        Raises: PermissionDenied, NoSpace, SystemError.
        """
        try:
            os.makedirs(self.containers_dir, 0o700, exist_ok=True)
        except OSError as error:
            what = f"cannot make the run directory {self.run_dir} (--run-dir names another one)"
            raise from_os_error(error, what, operation="prepare") from error

    def directory(self, container_id: str) -> str:
        """Return the record directory of a container, which need not exist."""
        return os.path.join(self.containers_dir, container_id)

    def ids(self) -> list[str]:
        """Return the ids of all records, sorted. Raises: PermissionDenied, SystemError."""
        try:
            found = sorted(n for n in os.listdir(self.containers_dir) if not n.startswith("."))
        except FileNotFoundError:
            found = []
        except OSError as error:
            message = f"cannot read the run directory {self.run_dir}"
            raise from_os_error(error, message, operation="list") from error
        self._forget_all_but(found)
        return found

    def _forget_all_but(self, ids: Sequence[str]) -> None:
        """Keep nothing in memory of containers that are gone."""
        known: tuple[dict[str, Any], ...] = (self._read, self.limits_read)
        for read in known:
            if len(read) > len(ids):
                for name in set(read).difference(ids):
                    read.pop(name, None)

    def create(self, record: Record) -> None:
        """Make a record at once or not at all. Raises: IdInUse, NoSpace, SystemError."""
        staging = os.path.join(
            self.containers_dir, f".new-{record.id}-{os.getpid()}-{next(_counter)}"
        )
        try:
            os.mkdir(staging, 0o700)
            self._write(staging, record)
            os.rename(staging, self.directory(record.id))
        except OSError as error:
            self._unmake(staging)
            if isinstance(error, FileExistsError) or error.errno == 39:  # ENOTEMPTY
                raise ReconcilerError(
                    ErrorCode.IdInUse,
                    f"cannot create container {record.id}: the id is in use",
                    container=record.id,
                    operation="create",
                ) from error
            raise from_os_error(
                error,
                f"cannot create container {record.id}",
                container=record.id,
                operation="create",
            ) from error

    def read(self, container_id: str) -> Record:
        """Return a record with its init and exit. Raises: ContainerNotExists, RecordCorrupt."""
        directory = self.directory(container_id)
        path = os.path.join(directory, STATE_FILE)
        try:
            state, run = read_file(path), read_run_text(directory)
            known = self._read.get(container_id)
            if known is None or known.state != state or known.run != run:
                self._read[container_id] = known = _Decoded(state, run, self._decode(state, run))
            return known.record
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.isdir(directory):
                raise _corrupt(container_id, path, "the file is missing") from error
            raise ReconcilerError(
                ErrorCode.ContainerNotExists,
                f"container {container_id} does not exist",
                container=container_id,
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _corrupt(container_id, path, str(error)) from error
        except OSError as error:
            raise from_os_error(error, f"cannot read the record of {container_id}") from error

    def _decode(self, state: bytes, run: bytes) -> Record:
        """Return the record of two files' contents. Raises: what damaged ones raise."""
        written = self._written
        if written is not None and written[0] == state:
            return _with_run(written[1], run)
        return from_dict(Record, json.loads(state) | _run_fields(parse_run(run)))

    def write(self, record: Record) -> None:
        """Replace a record's content. Raises: NoSpace, SystemError."""
        try:
            self._write(self.directory(record.id), record)
        except OSError as error:
            raise from_os_error(
                error, f"cannot write the record of {record.id}", container=record.id
            ) from error

    def make_fifos(self, container_id: str) -> None:
        """Have the FIFOs for a container's output. Raises: NoSpace, SystemError.

        All may open them: the container's user, whoever that is, through /dev/stdout, and a new
        monitor of an ordinary user. Their directory is closed to others.
        """
        for name in STREAMS:
            path = os.path.join(self.directory(container_id), name)
            try:
                with suppress(FileExistsError):
                    os.mkfifo(path, 0o600)
                os.chmod(path, 0o666)
            except OSError as error:
                self.remove_fifos(container_id)
                message = f"cannot make the log FIFOs of {container_id}"
                raise from_os_error(error, message, container=container_id) from error

    def remove_fifos(self, container_id: str) -> None:
        """Take back the FIFOs of a start that has failed."""
        for name in STREAMS:
            with suppress(OSError):  # not made, or no more to be changed: the next start has them
                os.unlink(os.path.join(self.directory(container_id), name))

    def remove(self, container_id: str) -> None:
        """Remove a record: gone at once, cleared away after. Raises: SystemError."""
        directory = self.directory(container_id)
        dead = os.path.join(
            self.containers_dir, f".dead-{container_id}-{os.getpid()}-{next(_counter)}"
        )
        try:
            os.rename(directory, dead)
            for name in os.listdir(dead):
                os.unlink(os.path.join(dead, name))
            os.rmdir(dead)
        except OSError as error:
            raise from_os_error(
                error, f"cannot remove the record of {container_id}", container=container_id
            ) from error

    def sweep(self) -> None:
        """Clear away what was left by a create, destroy or write cut short; for who holds the lock.

        Raises: OSError.
        """
        for name in os.listdir(self.containers_dir):
            pid = name.rsplit("-", 2)[-2] if name.count("-") > 2 else ""
            if name.startswith(".") and not os.path.exists(f"/proc/{pid}"):
                _remove_tree(os.path.join(self.containers_dir, name))
            elif os.path.exists(
                half := temporary_of(os.path.join(self.directory(name), STATE_FILE))
            ):
                with suppress(ReconcilerError, FileNotFoundError), self.lock(name):
                    os.unlink(half)

    @contextmanager
    def lock(self, container_id: str) -> Iterator[None]:
        """Hold the container's lock, against other threads and processes alike.

        Raises: ContainerDestroyed when it is gone once the lock is had.
        """
        directory = self.directory(container_id)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise destroyed(container_id) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                same = os.path.samestat(os.fstat(fd), os.stat(directory))
            except FileNotFoundError:
                same = False
            if not same:
                raise destroyed(container_id)
            yield
        finally:
            os.close(fd)

    def _unmake(self, staging: str) -> None:
        """Remove what a creation has made so far; with no descriptor left, too."""
        path = os.path.join(staging, STATE_FILE)
        for name in (temporary_of(path), path):
            with suppress(OSError):  # not made yet
                os.unlink(name)
        with suppress(OSError):  # the same; what is left all the same is swept later
            os.rmdir(staging)

    def _write(self, directory: str, record: Record) -> None:
        data = to_dict(record)
        for key in ("init", "started_at", "exit", "last_exit"):  # these are the monitor's to know
            del data[key]
        written = write_json(os.path.join(directory, STATE_FILE), data)
        own = replace(record, init=None, started_at=None, exit=None, last_exit=None)
        self._written = (written, own)


def _remove_tree(path: str) -> None:
    import shutil  # costs 3 ms; only needed when something was interrupted

    shutil.rmtree(path, ignore_errors=True)


def destroyed(container_id: str) -> ReconcilerError:
    """Return the error for a container that was destroyed, by whomever."""
    return ReconcilerError(
        ErrorCode.ContainerDestroyed,
        f"container {container_id} was destroyed",
        container=container_id,
    )


def _with_run(record: Record, text: bytes) -> Record:
    """Return a record as written with what its run file says."""
    fields = _run_fields(parse_run(text))
    init, ended = fields.get("init"), {}
    for name in ("exit", "last_exit"):
        status = fields.get(name)
        ended[name] = None if status is None else from_dict(ExitStatus, status)
    return replace(
        record,
        init=None if init is None else ProcessId(**init),
        started_at=fields.get("started_at"),
        **ended,
    )


def _run_fields(run: dict[str, Any] | None) -> dict[str, Any]:
    if run is None:
        return {}
    init = ProcessId(pid=run["pid"], start_ticks=run["startTicks"], boot_id=run["bootId"])
    return {
        "init": to_dict(init),
        "started_at": run["startedAt"],
        "exit": run["exit"],
        "last_exit": run["exit"] or run.get("lastExit"),
    }


def _corrupt(container_id: str, path: str, why: str) -> ReconcilerError:
    return ReconcilerError(
        ErrorCode.RecordCorrupt,
        f"cannot understand the record of container {container_id}: {why}",
        container=container_id,
        path=path,
    )
