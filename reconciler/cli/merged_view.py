"""A merged spec for people and programs: each value with the file and line that it comes from.

Called by `show --merged`. It reads files alone: the container need not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli.output import DIM, emit_data, emit_table, to_yaml
from reconciler.cli.plan_view import show_problems
from reconciler.control.report import INVALID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.loader.explain import MergedValue

_HEADER = ("FIELD", "VALUE", "ORIGIN")


def show_merged(name: str, sources: Sequence[str], state_dir: str, output: str) -> int:
    """Print the values and the problems of a name, and return the exit code.

    Raises: NameNotFound when no file of the sources gives the name.
    """
    from reconciler.loader.explain import explain_merged

    found = explain_merged(sources, name, state_dir)
    if output != "table":
        problems = [problem.to_json() for problem in found.problems]
        emit_data({"items": list(map(_to_json, found.values)), "problems": problems}, output)
    else:
        if found.values:
            rows = [(one.path, _spell(one.value), one.describe_origin()) for one in found.values]
            emit_table(_HEADER, rows, {"default": DIM})
        show_problems(found.problems)
    return INVALID if found.problems else 0


def _to_json(value: MergedValue) -> dict[str, Any]:
    return {
        "path": value.path,
        "value": value.value,
        "file": value.file,
        "line": value.line,
        "column": value.column,
    }


def _spell(value: object) -> str:
    """Return the value as a spec file would have it, on one line."""
    return to_yaml(value, is_on_one_line=True).removesuffix("\n...")  # YAML's end of a bare scalar
