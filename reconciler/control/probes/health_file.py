"""What the probes of a container have found: `RUN_DIR/containers/NAME/health.json`.

Read with each observation, written by whoever has the claim on the container. It is gone with the
container. It is a hint: without it the probes begin anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from reconciler.control.json_file import replace_json
from reconciler.control.logs import log_failure
from reconciler.control.probes.targets import targets_of
from reconciler.errors import from_os_error
from reconciler.linux.proc import read_file
from reconciler.model.codec import from_dict, to_compact
from reconciler.model.health import Health
from reconciler.model.world import Observed

FILE = "health.json"


def read_health(run_dir: str, name: str) -> Health | None:
    """Return what was found last; None where that cannot be read or understood."""
    try:
        return from_dict(Health, json.loads(read_file(_path(run_dir, name))))
    except (OSError, ValueError, TypeError):
        return None


def read_all_health(run_dir: str, containers: Iterable[Observed]) -> dict[str, Health]:
    """Return by name what was found of the runs of these containers, where they have probes."""
    found = {}
    for target in targets_of(containers):
        health = read_health(run_dir, target.name)
        if health is not None and health.is_of(target.pid, target.started_at):
            found[target.name] = health
    return found


def write_health(run_dir: str, name: str, health: Health) -> bool:
    """Replace the file; log it when that cannot be. A container that is gone needs none.

    Returns whether there is nothing left to be written.
    """
    path = _path(run_dir, name)
    try:
        replace_json(path, to_compact(health))
    except FileNotFoundError:
        return True
    except OSError as error:
        log_failure(from_os_error(error, f"cannot write the health of {name}", path=path))
        return False
    return True


def _path(run_dir: str, name: str) -> str:
    return os.path.join(run_dir, "containers", name, FILE)
