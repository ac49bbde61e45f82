"""Removing what a container has left below the state directory. Called by Engine.

An ordinary user's containers write files as subordinate ids too, which are the user's to remove
in a user namespace alone (user_namespaces(7)).
"""

from __future__ import annotations

import os
import sys

from reconciler.engine.rootless import is_rootless, own_mappings
from reconciler.engine.setup_namespaces import format_map

_BOOT = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));"
    "from reconciler.monitor.removal import main;main()"
)


def remove_tree(path: str) -> None:
    """Remove a directory and all below. Raises: OSError."""
    import shutil  # costs 2 ms; mostly there is nothing to remove

    if not is_rootless():
        shutil.rmtree(path)
        return
    try:
        _open_up(path)
        shutil.rmtree(path)
    except PermissionError:
        _remove_in_namespace(path)


def _open_up(path: str) -> None:
    """Let an ordinary user into all directories below: overlayfs closes its own to its maker."""
    os.chmod(path, 0o700)
    for directory, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(inner := os.path.join(directory, name)):
                os.chmod(inner, 0o700)


def _remove_in_namespace(path: str) -> None:
    """Have a process of one thread do it as root of a user namespace with the same ids."""
    from reconciler.linux.programs import run_program

    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    uids = format_map(own_mappings("/etc/subuid", os.geteuid()))
    gids = format_map(own_mappings("/etc/subgid", os.getegid()))
    argv = [sys.executable, "-I", "-S", "-c", _BOOT, package_root, path, uids, gids]
    failure = run_program(sys.executable, argv, ["LANG=C.UTF-8"], b"", None)
    if failure is not None:
        raise PermissionError(1, f"the process that removes it {failure}", path)
