"""Which sources are given together, in their order: `STATE_DIR/sources.json`.

    [[SOURCE, ...], ...]

Noted by each pass; read by the command line for the verbs that take names and no sources, since
of several directories the last one has the last word. A single directory is not noted: the
containers made from it name it. It is a hint: without it sources are taken in the order of names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from reconciler.control.json_file import replace_json
from reconciler.control.logs import log_failure
from reconciler.errors import from_os_error
from reconciler.model.spec import Spec

FILE = "sources.json"
_MAX_GROUPS = 100

Groups = list[list[str]]


def note_sources(state_dir: str, sources: Sequence[str]) -> None:
    """Note the sources (identities) of a pass, if that is new; log it when that cannot be."""
    before = read_groups(state_dir)
    after = [group for group in before if set(group).isdisjoint(sources)]
    if len(sources) > 1 or any(map(os.path.isfile, sources)):
        after = before if list(sources) in before else [*after, list(sources)][-_MAX_GROUPS:]
    if after == before:
        return
    path = os.path.join(state_dir, FILE)
    try:
        replace_json(path, after)
    except OSError as error:
        log_failure(from_os_error(error, "cannot note the order of the sources", path=path))


def read_groups(state_dir: str) -> Groups:
    """Return what is noted, the latest last; nothing where that cannot be read or understood."""
    try:
        with open(os.path.join(state_dir, FILE), "rb") as stream:
            return [[str(source) for source in group] for group in json.loads(stream.read())]
    except (OSError, ValueError, TypeError):
        return []


def sources_of(specs: Iterable[Spec], others: Iterable[str], groups: Groups) -> list[str]:
    """Return the sources that specs come from, and others, with all that is given with them.

    Those of one group stay together and in their order; what is gone is left out unless a spec
    comes from it.
    """
    noted = {source for group in groups for source in group}
    wanted = {*others}
    for spec in specs:
        is_file = spec.source not in noted and spec.origin.file in noted
        wanted.add(spec.origin.file if is_file else spec.source)
    found: dict[str, None] = {}
    for group in groups:
        if not wanted.isdisjoint(group):
            found |= dict.fromkeys(one for one in group if one in wanted or os.path.lexists(one))
    return [*found, *sorted(wanted - found.keys())]
