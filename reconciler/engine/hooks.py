"""Hooks: programs at points of a container's life, its state on their standard input.

Called by `fresh_cgroup` and Container for inits that the monitor starts, and by the OCI command
line for its own. Source: runtime-spec config.md (POSIX-platform Hooks), runtime.md (Lifecycle).

    engine (a thread beside the start)             init, started by the monitor
      |<-- {"pid": N} on the socket ------------------| AwaitEngine, before the root is entered
      | moves network devices; prestart, createRuntime|
      |--- the container's state, then its end ------>| createContainer; the pivot; startContainer
      | poststart, when the start is answered         | execve

With every start that has poststop hooks a file is left in the record's directory; they run when the
run has been stopped, before the next start or the end of the container, and take the file away.
"""

from __future__ import annotations

import os

from reconciler.engine.failures import SetupFailed
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import TYPE_CHECKING, Any, Iterator, contextmanager, json, socket, suppress
from reconciler.model.frozen import replace
from reconciler.model.isolation import Hook, Hooks, Isolation
from reconciler.model.record import Record

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

OCI_VERSION = "1.2.1"
_PENDING = "poststop"
_STATE_MAX = 2**20


def has_start_hooks(isolation: Isolation) -> bool:
    """Tell whether an init has to wait for what is done before it goes on."""
    hooks = isolation.hooks
    before = (hooks.prestart, hooks.create_runtime, hooks.create_container, hooks.start_container)
    return any(before) or bool(isolation.net_devices)


def patience_s(hooks: Hooks) -> float | None:
    """Return how long the hooks of a start may take together, None: without end."""
    first = (
        *hooks.prestart,
        *hooks.create_runtime,
        *hooks.create_container,
        *hooks.start_container,
    )
    times = [hook.timeout_s for hook in first]
    return None if None in times else sum(one for one in times if one is not None)


def rows_of(hooks: tuple[Hook, ...]) -> list[list[Any]]:
    """Return hooks as the step takes them."""
    return [[hook.path, list(hook.args), list(hook.env), hook.timeout_s] for hook in hooks]


def with_our_environment(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """Return programs of the host's, those without an environment with ours, as runc and crun do.

    Never for what is the container's own: nothing of ours is for its eyes.
    """
    ours = tuple(f"{name}={value}" for name, value in os.environ.items())
    return tuple(hook if hook.env else replace(hook, env=ours) for hook in hooks)


def run_hooks(container_id: str, kind: str, hooks: tuple[Hook, ...], state: dict[str, Any]) -> None:
    """Run hooks one after the other. Raises: HookFailed at the first that fails."""
    for hook in hooks:
        problem = problem_of(hook, state)
        if problem is not None:
            raise ReconcilerError(
                ErrorCode.HookFailed,
                f"cannot run the {kind} hook {hook.path} of {container_id}: {problem}",
                container=container_id,
                operation=kind,
                path=hook.path,
            )


def problem_of(hook: Hook, state: dict[str, Any]) -> str | None:
    """Run a hook of the host's; return how it failed, None when it did not."""
    from reconciler.linux.programs import run_program

    (hook,) = with_our_environment((hook,))
    given = json.dumps(state).encode()
    try:
        return run_program(hook.path, list(hook.args), list(hook.env), given, hook.timeout_s)
    except OSError as error:
        return f"cannot be run: {error.strerror}"


def move_devices(container_id: str, devices: dict[str, str], pid: int) -> None:
    """Move network devices into the network of an init. Raises: SystemError and its kin."""
    from reconciler.linux.rtnetlink import move_device

    for name, inside in devices.items():
        try:
            move_device(name, inside, f"/proc/{pid}/ns/net")
        except OSError as error:
            doing = f"cannot move the network device {name} to {container_id} as {inside}"
            raise from_os_error(error, doing) from error


def state_of(engine: Engine, record: Record, status: str, pid: int) -> dict[str, Any]:
    """Return the state of a container that the monitor starts, as runtime.md has it."""
    return {
        "ociVersion": OCI_VERSION,
        "id": record.id,
        "status": status,
        "pid": pid,
        "bundle": engine.store.directory(record.id),
        "annotations": record.config.isolation.annotations,
    }


@contextmanager
def attended(engine: Engine, record: Record) -> Iterator[list[int]]:
    """Do beside a start what its hooks ask for; give the descriptors for the init.

    Raises: HookFailed, and what else keeps the init from going on, in place of the start's error.
    """
    isolation = record.config.isolation
    if isolation.hooks.poststop:
        with open(_pending_file(engine, record), "w", encoding="ascii"):
            pass
    if not has_start_hooks(isolation):
        yield []
        return
    import threading

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    failures: list[ReconcilerError] = []
    thread = threading.Thread(target=_attend, args=(engine, record, ours, failures))
    thread.start()
    try:
        yield [theirs.fileno()]
    except (ReconcilerError, SetupFailed) as error:
        if failures:
            raise failures[0] from error
        raise
    finally:
        theirs.close()  # else one that never came so far would be waited for
        thread.join()


def _attend(
    engine: Engine, record: Record, ours: socket.socket, failures: list[ReconcilerError]
) -> None:
    """Run what comes before the root is entered; an init that gets no state goes no further."""
    isolation = record.config.isolation
    with ours, suppress(ConnectionError):
        said = ours.recv(_STATE_MAX)
        if not said:
            return
        pid = int(json.loads(said)["pid"])
        state = state_of(engine, record, "creating", pid)
        try:
            move_devices(record.id, isolation.net_devices, pid)
            run_hooks(record.id, "prestart", isolation.hooks.prestart, state)
            run_hooks(record.id, "createRuntime", isolation.hooks.create_runtime, state)
        except ReconcilerError as error:
            failures.append(error)
            return
        ours.sendall(json.dumps(state).encode())


def run_poststart(engine: Engine, record: Record, pid: int) -> None:
    """Run the poststart hooks; a failure is logged, and the container runs on (runtime.md)."""
    hooks = record.config.isolation.hooks.poststart
    if hooks:
        _run_all(record, "poststart", hooks, state_of(engine, record, "running", pid))


def run_poststop(engine: Engine, record: Record) -> None:
    """Run the poststop hooks of a run that is over, once; a failure is logged, and no more."""
    pending = _pending_file(engine, record)
    hooks = record.config.isolation.hooks.poststop
    if not hooks or not os.path.exists(pending):
        return
    _run_all(record, "poststop", hooks, state_of(engine, record, "stopped", 0))
    with suppress(FileNotFoundError):
        os.unlink(pending)


def _run_all(record: Record, kind: str, hooks: tuple[Hook, ...], state: dict[str, Any]) -> None:
    import logging

    logger = logging.getLogger("reconciler.engine")
    for hook in hooks:
        problem = problem_of(hook, state)
        if problem is not None:
            text = f"the {kind} hook {hook.path} of {record.id} {problem}"
            logger.warning(text, extra={"container": record.id})


def _pending_file(engine: Engine, record: Record) -> str:
    return os.path.join(engine.store.directory(record.id), _PENDING)
