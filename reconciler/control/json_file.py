"""Replaces a JSON file as a whole. Called by whoever owns one in the run or state directory."""

from __future__ import annotations

import json

from reconciler.linux.files import replace_file


def replace_json(path: str, data: object) -> None:
    """Write a file for its owner alone, at once or not at all. Raises: OSError."""
    replace_file(path, json.dumps(data).encode())
