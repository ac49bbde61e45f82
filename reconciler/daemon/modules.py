"""The daemon's own program, loaded as a whole at its start.

Called by `reconciler.daemon.watch`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages


def load_own_modules() -> None:
    """Import what passes need later, so that an upgrade of the files does not mix two versions."""
    for layer in ("control", "planning", "loader", "engine", "cgroup", "linux", "model"):
        package = import_module(f"reconciler.{layer}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
