"""Hooks of a container: programs of the host's at points of its life, its state on their input.

Called by the verbs for those that run in the runtime's namespaces; the engine's launcher has those
that run in the container's. Source: runtime-spec config.md, POSIX-platform Hooks; runtime.md.
"""

from __future__ import annotations

import os

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Any, Callable, json
from reconciler.model.frozen import replace
from reconciler.model.isolation import Hook
from reconciler.oci.log import Log
from reconciler.oci.runtime import hook_state


def rows_of(hooks: tuple[Hook, ...]) -> list[list[Any]]:
    """Return hooks as the launcher takes them."""
    return [[hook.path, list(hook.args), list(hook.env), hook.timeout_s] for hook in hooks]


def with_our_environment(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """Return programs of the host's, those without an environment with ours, as runc and crun do.

    Never for what is the container's own: nothing of ours is for its eyes.
    """
    ours = tuple(f"{name}={value}" for name, value in os.environ.items())
    return tuple(hook if hook.env else replace(hook, env=ours) for hook in hooks)


def runtime_hooks(container: Container) -> Callable[[int], bytes] | None:
    """Return what the launcher calls once the namespaces are there; None without such hooks.

    It moves network devices, runs prestart and createRuntime hooks, and raises HookFailed,
    SystemError.
    """
    hooks = container.config.isolation.hooks
    devices = container.config.isolation.net_devices
    is_needed = devices or hooks.prestart or hooks.create_runtime
    if not (is_needed or hooks.create_container or hooks.start_container):
        return None

    def run_and_tell(pid: int) -> bytes:
        if devices:
            _move_devices(container, devices, pid)
        state = hook_state(container, "creating", pid)
        run_hooks(container.id, "prestart", hooks.prestart, state)
        run_hooks(container.id, "createRuntime", hooks.create_runtime, state)
        return json.dumps(state).encode()

    return run_and_tell


def _move_devices(container: Container, devices: dict[str, str], pid: int) -> None:
    from reconciler.linux.rtnetlink import move_device

    for name, inside in devices.items():
        try:
            move_device(name, inside, f"/proc/{pid}/ns/net")
        except OSError as error:
            doing = f"cannot move the network device {name} to {container.id} as {inside}"
            raise from_os_error(error, doing) from error


def run_hooks(container_id: str, kind: str, hooks: tuple[Hook, ...], state: dict[str, Any]) -> None:
    """Run hooks one after the other. Raises: HookFailed at the first that fails."""
    for hook in hooks:
        problem = _problem_of(hook, state)
        if problem is not None:
            raise ReconcilerError(
                ErrorCode.HookFailed,
                f"cannot run the {kind} hook {hook.path} of {container_id}: {problem}",
                container=container_id,
                operation=kind,
                path=hook.path,
            )


def run_poststop(container: Container, hooks: tuple[Hook, ...], log: Log) -> None:
    """Run the poststop hooks of a container that is gone; a failure is logged, and no more."""
    for hook in hooks:
        problem = _problem_of(hook, hook_state(container, "stopped", 0))
        if problem is not None:
            log.warning(f"the poststop hook {hook.path} of {container.id} {problem}")


def _problem_of(hook: Hook, state: dict[str, Any]) -> str | None:
    from reconciler.linux.programs import run_program

    given = json.dumps(state).encode()
    own = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        if os.path.isdir(state["bundle"]):  # where every other runtime runs them
            os.chdir(state["bundle"])
        (hook,) = with_our_environment((hook,))
        return run_program(hook.path, list(hook.args), list(hook.env), given, hook.timeout_s)
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    finally:
        os.fchdir(own)
        os.close(own)
