"""Hooks of a container: programs of the host's at points of its life, its state on their input.

Called by the verbs for those that run in the runtime's namespaces; the engine's launcher has those
that run in the container's. Source: runtime-spec config.md, POSIX-platform Hooks; runtime.md.
"""

from __future__ import annotations

import os

from reconciler.engine import hooks as hooks_of_engine
from reconciler.engine.container import Container
from reconciler.engine.hooks import move_devices, problem_of
from reconciler.lean import Any, Callable, Iterator, contextmanager, json
from reconciler.model.isolation import Hook
from reconciler.oci.log import Log
from reconciler.oci.runtime import hook_state


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
            move_devices(container.id, devices, pid)
        state = hook_state(container, "creating", pid)
        run_hooks(container.id, "prestart", hooks.prestart, state)
        run_hooks(container.id, "createRuntime", hooks.create_runtime, state)
        return json.dumps(state).encode()

    return run_and_tell


def run_hooks(container_id: str, kind: str, hooks: tuple[Hook, ...], state: dict[str, Any]) -> None:
    """Run hooks one after the other. Raises: HookFailed at the first that fails."""
    if hooks:
        with _in_bundle(state):
            hooks_of_engine.run_hooks(container_id, kind, hooks, state)


def run_poststop(container: Container, hooks: tuple[Hook, ...], log: Log) -> None:
    """Run the poststop hooks of a container that is gone; a failure is logged, and no more."""
    state = hook_state(container, "stopped", 0)
    for hook in hooks:
        with _in_bundle(state):
            problem = problem_of(hook, state)
        if problem is not None:
            log.warning(f"the poststop hook {hook.path} of {container.id} {problem}")


@contextmanager
def _in_bundle(state: dict[str, Any]) -> Iterator[None]:
    """Have the bundle as the working directory: there every other runtime runs hooks."""
    own = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        if os.path.isdir(state["bundle"]):
            os.chdir(state["bundle"])
        yield
    finally:
        os.fchdir(own)
        os.close(own)
