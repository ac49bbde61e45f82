"""From the options of every verb to the instance they mean: its engine, its sources.

Called by the verbs. Importing it is cheap; the engine is loaded when one is made.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine


def make_engine(args: argparse.Namespace) -> Engine:
    """Return the engine of the chosen directories. Raises: CgroupUnavailable, SystemError."""
    from reconciler.engine.engine import Engine
    from reconciler.errors import ErrorCode, from_os_error

    try:
        return Engine(
            run_dir=args.run_dir, state_dir=args.state_dir, cgroup_parent=args.cgroup_parent
        )
    except OSError as error:
        raise from_os_error(
            error, "cannot use the cgroups of this host", ErrorCode.CgroupUnavailable
        ) from error


def sources_of(args: argparse.Namespace) -> list[str]:
    """Return the sources that were given, or the default one."""
    return list(args.sources) or [default_source()]


def default_source() -> str:
    """Return /etc/reconciler, or for a user other than root the same below XDG_CONFIG_HOME."""
    if os.geteuid() == 0:
        return "/etc/reconciler"
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "reconciler")
