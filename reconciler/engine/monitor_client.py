"""The engine's side of the monitor's socket: one connection a request, a monitor on demand.

Called by Container and Engine. A lost monitor is replaced; the new one adopts what runs.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from reconciler.engine.failures import SetupFailed
from reconciler.engine.locks import await_lock, is_locked
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Any, Callable, Self, Sequence, json, signal, socket, suppress
from reconciler.linux.memfd import make_sealed_memfd
from reconciler.model.codec import from_dict
from reconciler.model.state import ExitStatus
from reconciler.monitor import messages
from reconciler.monitor.names import LOCK_NAME, SOCKET_NAME
from reconciler.monitor.spawn import spawn_monitor

_START_TIMEOUT_S = 120.0
_ATTEMPTS = 5


class MonitorClient:
    """Speaks to the monitor of one run directory, and starts it where there is none."""

    def __init__(self, run_dir: str, restart_command: str | None = None) -> None:
        """`restart_command`: what brings it back where systemd is the one to start it."""
        self.run_dir = run_dir
        self._restart_command = restart_command
        self._path = os.path.join(run_dir, SOCKET_NAME)
        self._lock_path = os.path.join(run_dir, LOCK_NAME)
        self._spawning = allocate_lock()

    def start(
        self,
        plan: dict[str, Any],
        limit: Callable[[], None],
        streams: Sequence[int] = (),
        patience_s: float | None = 0.0,
    ) -> dict[str, Any]:
        """Start a container from its launch plan; return `{pid, startTicks, startedAt}`.

        `limit` is called before the init does anything, while it is being cloned; `streams` are
        descriptors for its steps that ask for them; `patience_s` is how much longer than any other
        start it may take (None: without end).

        Raises: SetupFailed; what `limit` raises; MonitorUnavailable, MonitorLost.
        """
        memfd = make_sealed_memfd("reconciler-plan", json.dumps(plan).encode())
        try:
            with self._connect() as sock:
                answer = _start_held(sock, [memfd, *streams], limit, patience_s)
            if _is_unknown_request(answer):  # by a monitor of an older version
                with self._connect() as sock:
                    _send(sock, {"op": "start"}, [memfd])
                    answer = _receive(sock)
        finally:
            os.close(memfd)
        if answer is None:
            raise _lost(f"cannot start {plan['id']}: the monitor was lost", plan["id"])
        if "error" in answer:
            raise SetupFailed(answer["error"])
        return answer

    def wait(self, container_id: str, timeout_s: float | None) -> ExitStatus | None:
        """Return the exit of a container when it comes; None when the time is over before.

        Raises: ContainerNotRunning when it never ran; MonitorUnavailable, MonitorLost.
        """
        for _ in range(_ATTEMPTS):
            with self.pending_exit(container_id, 0) as pending:
                try:
                    return pending.wait(timeout_s)
                except ReconcilerError as error:
                    if error.code is not ErrorCode.MonitorLost:
                        raise
        raise _lost(f"cannot wait for {container_id}: the monitor keeps dying", container_id)

    def pending_exit(self, container_id: str, pid: int) -> PendingExit:
        """Return what is readable once a container's init (`pid`) has ended.

        Raises: MonitorUnavailable.
        """
        sock = self._connect()
        with suppress(BrokenPipeError, ConnectionResetError):  # to be read as its end
            messages.send(sock, {"op": "wait", "id": container_id})
        return PendingExit(sock, pid, container_id)

    def execute(
        self, plan: dict[str, Any], streams: list[int], *, lasts: bool = False
    ) -> ExecSession:
        """Start a further process in a container, with these descriptors, once it runs.

        `lasts`: it outlives the session's close.

        Raises: SetupFailed; MonitorUnavailable, MonitorLost.
        """
        memfd = make_sealed_memfd("reconciler-plan", json.dumps(plan).encode())
        sock = self._connect()
        try:
            sock.settimeout(_START_TIMEOUT_S)
            answer = _ask(sock, {"op": "exec", "lasts": lasts}, [memfd, *streams])
            if answer is None:
                raise _lost(f"cannot execute in {plan['id']}: the monitor was lost", plan["id"])
            if "error" in answer:
                raise SetupFailed(answer["error"])
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(memfd)
        return ExecSession(sock, int(answer["pid"]))

    def ping(self) -> dict[str, Any]:
        """Return `{pid, containers}` of the monitor, started if need be.

        Raises: MonitorUnavailable, MonitorLost.
        """
        with self._connect() as sock:
            answer = _ask(sock, {"op": "ping"})
        if answer is None:
            raise _lost("cannot reach the monitor: it was lost", None)
        return answer

    def subscribe(self) -> ExitEvents:
        """Return a stream of the exits from now on. Raises: MonitorUnavailable, MonitorLost."""
        sock = self._connect()
        if _ask(sock, {"op": "subscribe"}) is None:
            sock.close()
            raise _lost("cannot subscribe to exits: the monitor was lost", None)
        sock.setblocking(False)
        return ExitEvents(sock)

    def retire(self) -> None:
        """Let the monitor end once nothing runs, and wait until it has, if it does now.

        Raises: OSError.
        """
        if not self.is_running():
            return
        with self._connect() as sock:
            answer = _ask(sock, {"op": "retire"})
        if answer is not None and not answer["ends"]:
            return
        await_lock(self._lock_path)

    def is_running(self) -> bool:
        """Tell whether a monitor lives, without starting one: it holds its lock for as long."""
        return is_locked(self._lock_path)

    def hand_over(self) -> None:
        """Have the monitor end, and what runs left to the next one; wait for that.

        Raises: OSError.
        """
        if not self.is_running():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(self._path)
            answer = _ask(sock, {"op": "ping"})
        if answer is not None:
            os.kill(int(answer["pid"]), signal.SIGTERM)
        await_lock(self._lock_path)

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if sock.connect_ex(self._path) != 0:
                with self._spawning:  # one thread starts it, the others wait for it
                    if sock.connect_ex(self._path) != 0:
                        self._start()
                        sock.connect(self._path)
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError):
                raise
            raise from_os_error(
                error,
                "cannot start the monitor",
                ErrorCode.MonitorUnavailable,
                path=os.path.join(self.run_dir, "monitor.log"),
            ) from error
        return sock

    def _start(self) -> None:
        """Start it, where that is ours to do. Raises: OSError, MonitorUnavailable."""
        if self._restart_command is not None:
            # One of our making would be in this process's cgroup and see this process's mounts.
            raise ReconcilerError(
                ErrorCode.MonitorUnavailable,
                f"cannot reach the monitor: systemd does not listen at {self._path}; "
                f"have it listen: {self._restart_command}",
                path=self._path,
            )
        spawn_monitor(self.run_dir)


class ExecSession:
    """A further process in a container: await its end, or end it by `close()`."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.pid = pid
        self._sock = sock

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at the end of the process."""
        return self._sock.fileno()

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Return how it ended, None when the time is over before. Raises: MonitorLost."""
        self._sock.settimeout(timeout_s)
        try:
            message, _ = messages.receive(self._sock)
        except TimeoutError:
            return None
        except OSError:
            message = None
        if message is None:
            raise _lost("cannot tell how the process ended: the monitor was lost", None)
        return self._exit_of(message)

    def _exit_of(self, message: dict[str, Any]) -> ExitStatus:
        return from_dict(ExitStatus, message["exit"])

    def close(self) -> None:
        """Let go; a process that still runs is killed, unless it was started to last."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PendingExit(ExecSession):
    """The end of an init that has not come yet; `close()` does nothing to the init."""

    def __init__(self, sock: socket.socket, pid: int, container_id: str) -> None:
        super().__init__(sock, pid)
        self._id = container_id

    def _exit_of(self, message: dict[str, Any]) -> ExitStatus:
        if "error" in message:
            raise ReconcilerError(
                ErrorCode.ContainerNotRunning,
                f"cannot wait for {self._id}: it was never started",
                container=self._id,
                operation="wait",
            )
        return super()._exit_of(message)


class ExitEvents:
    """Exits as they happen: poll `fileno()`, then `read()`. End it with `close()`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is something to read."""
        return self._sock.fileno()

    def read(self) -> list[tuple[str, ExitStatus]] | None:
        """Return (id, exit) of what ended since the last call; None when the monitor is gone."""
        exits: list[tuple[str, ExitStatus]] = []
        while True:
            try:
                message, _ = messages.receive(self._sock)
            except BlockingIOError:
                return exits
            except OSError:
                return None
            if message is None:
                return None
            exits.append((message["id"], from_dict(ExitStatus, message["exit"])))

    def close(self) -> None:
        """End the subscription."""
        self._sock.close()


def _start_held(
    sock: socket.socket, fds: list[int], limit: Callable[[], None], patience_s: float | None
) -> dict[str, Any] | None:
    """Have an init cloned, call `limit` meanwhile, and let it go on, or end if `limit` fails.

    Returns the answer, None when the monitor was lost. Raises: what `limit` raises.
    """
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    try:
        _send(sock, {"op": "start_held"}, [fds[0], gate_read, *fds[1:]])
        os.close(gate_read)
        gate_read = -1
        limit()
        with suppress(BrokenPipeError):  # there is no init: the answer says why
            os.write(gate_write, b"0")
    except BaseException:
        os.close(gate_write)
        gate_write = -1
        _receive(sock)  # once it is gone: what comes next removes its cgroup
        raise
    finally:
        for fd in (gate_read, gate_write):
            if fd >= 0:
                os.close(fd)
    sock.settimeout(None if patience_s is None else _START_TIMEOUT_S + patience_s)
    return _receive(sock)


def _is_unknown_request(answer: dict[str, Any] | None) -> bool:
    error = (answer or {}).get("error")
    return error is not None and error["text"].startswith(messages.BAD_REQUEST)


def _send(sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    """Send a request; that the monitor is gone is told by the answer that does not come."""
    sock.settimeout(_START_TIMEOUT_S)
    with suppress(OSError):
        messages.send(sock, message, fds)


def _receive(sock: socket.socket) -> dict[str, Any] | None:
    """Return the answer to a start, None when the monitor was lost."""
    try:
        return messages.receive(sock)[0]
    except OSError:
        return None


def _ask(
    sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None
) -> dict[str, Any] | None:
    """Send a request and return the answer; None when the monitor closed instead."""
    try:
        messages.send(sock, message, fds)
        return messages.receive(sock)[0]
    except (BrokenPipeError, ConnectionResetError):
        return None


def _lost(message: str, container_id: str | None) -> ReconcilerError:
    return ReconcilerError(ErrorCode.MonitorLost, message, container=container_id)
