"""Since when each condition has its status: `RUN_DIR/conditions.json`.

    {name: {type: [status, at]}}

Read with each look, written after a pass by the holder of the reconciler's lock where something
has changed. It is a hint, for display alone: without it a time is not told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.control.json_file import replace_json
from reconciler.control.logs import log_failure
from reconciler.errors import from_os_error

FILE = "conditions.json"

Transitions = Mapping[str, Mapping[str, tuple[str, float]]]


def read_transitions(run_dir: str) -> Transitions:
    """Return what is remembered; nothing where that cannot be read or understood."""
    try:
        with open(os.path.join(run_dir, FILE), "rb") as stream:
            data = json.loads(stream.read())
        return {
            name: {kind: (str(status), float(at)) for kind, (status, at) in known.items()}
            for name, known in data.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def next_transitions(
    before: Transitions, items: Iterable[Mapping[str, Any]], now: float
) -> Transitions:
    """Return since when each condition of the items of `status` has its status."""
    return {
        item["name"]: {
            one["type"]: _since(before.get(item["name"], {}).get(one["type"]), one["status"], now)
            for one in item["conditions"]
        }
        for item in items
    }


def write_transitions(run_dir: str, transitions: Transitions) -> None:
    """Replace the file; log it when that cannot be."""
    path = os.path.join(run_dir, FILE)
    try:
        replace_json(path, transitions)
    except OSError as error:
        log_failure(from_os_error(error, "cannot write the conditions", path=path))


def _since(known: tuple[str, float] | None, status: str, now: float) -> tuple[str, float]:
    return known if known is not None and known[0] == status else (status, now)
