"""`run`: create, start, and in the foreground wait and remove."""

from __future__ import annotations

from reconciler.lean import ExitStack
from reconciler.oci import sealing
from reconciler.oci.bundle import is_read_once, load_bundle
from reconciler.oci.create import (
    Launch,
    check_terminal,
    connect_socket,
    make_container,
    translate,
)
from reconciler.oci.foreground import Foreground
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime
from reconciler.oci.verbs.delete import remove
from reconciler.oci.verbs.start import run_poststart


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Run it; return its exit code, with --detach 0. Raises: as `make_container`."""
    (container_id,) = arguments
    is_sealed = sealing.is_sealed()
    if not is_sealed and is_read_once(options["bundle"], options["config"]):
        raise sealing.SealNeeded
    bundle = load_bundle(options["bundle"], options["config"])
    config = translate(runtime, bundle, options, needs_process=True)
    if not is_sealed and sealing.must_be_sealed(config):
        raise sealing.SealNeeded
    has_terminal = bundle.fields.child("process").flag("terminal")
    path = options["console-socket"]
    if options["detach"] or path:
        check_terminal(has_terminal, has_socket=bool(path))
    with ExitStack() as stack:
        foreground = None if options["detach"] else stack.enter_context(Foreground())
        console_fd = -1
        if path:
            console_fd = stack.enter_context(connect_socket(path)).fileno()
        elif has_terminal and foreground is not None:
            console_fd = foreground.make_terminal()
        launch = Launch(waits=False, console_fd=console_fd, is_sealed=is_sealed)
        container = make_container(runtime, bundle, config, options, container_id, launch)
        is_kept = False  # as for one whose poststart hook fails
        try:
            run_poststart(runtime, container)
            is_kept = foreground is None or options["keep"]
            init = container.record.init
            return 0 if foreground is None or init is None else foreground.attend(init.pid)
        finally:
            if not is_kept:
                remove(runtime, container)
