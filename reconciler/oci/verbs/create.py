"""`create`: a container whose process waits for `start`."""

from __future__ import annotations

from reconciler.oci.bundle import load_bundle
from reconciler.oci.create import Launch, check_terminal, connect_socket, make_container, translate
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Create it. Raises: as `make_container`."""
    (container_id,) = arguments
    bundle = load_bundle(options["bundle"], options["config"])
    path = options["console-socket"]
    has_terminal = bundle.fields.child("process").flag("terminal")
    check_terminal(has_terminal, has_socket=bool(path))
    config = translate(runtime, bundle, options, needs_process=False)
    if not path:
        make_container(runtime, bundle, config, options, container_id, Launch(waits=True))
        return 0
    with connect_socket(path) as sock:
        launch = Launch(waits=True, console_fd=sock.fileno())
        make_container(runtime, bundle, config, options, container_id, launch)
    return 0
