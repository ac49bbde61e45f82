"""`reconciler explain`: the meaning of an error code, from the catalogue."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.output import emit, emit_data, emit_table

if TYPE_CHECKING:
    from reconciler.errors.catalogue import Entry

EXAMPLES = """\
  reconciler explain               # all codes
  reconciler explain 30
  reconciler explain CommandNotFound"""

_WIDTH = 88


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the code."""
    parser.add_argument("code", nargs="?", metavar="CODE", help="a number or a name")


def run(args: argparse.Namespace) -> int:
    """Print one entry or the list of all. Raises: Usage when there is no such code."""
    from reconciler.errors.catalogue import ENTRIES, find_entry

    if args.code is None:
        if args.output != "table":
            emit_data({"items": [_to_json(entry) for entry in ENTRIES]}, args.output)
            return 0
        rows = [(str(int(entry.code)), entry.code.name, entry.meaning) for entry in ENTRIES]
        emit_table(("CODE", "NAME", "MEANING"), rows)
        return 0
    entry = find_entry(args.code)
    if args.output != "table":
        emit_data(_to_json(entry), args.output)
    else:
        _show(entry)
    return 0


def _to_json(entry: Entry) -> dict[str, object]:
    return {
        "code": int(entry.code),
        "name": entry.code.name,
        "meaning": entry.meaning,
        "causes": entry.causes,
        "actions": entry.actions,
    }


def _show(entry: Entry) -> None:
    from textwrap import fill

    emit(f"{entry.code.name} ({int(entry.code)})\n")
    emit(fill(entry.meaning, _WIDTH))
    for title, lines in (("likely causes", entry.causes), ("what to do", entry.actions)):
        emit(f"\n{title}:")
        for line in lines:
            emit(fill(line, _WIDTH, initial_indent="  - ", subsequent_indent="    "))
