"""`reconciler show`: all that the record and the kernel tell of one container.

With `--merged`: what the files say of it, value by value.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from reconciler.cli.failure import usage_error
from reconciler.cli.instance import default_source, make_engine
from reconciler.cli.look import explain_mask, known_sources, look_at_all
from reconciler.cli.names import load_container, name_not_found
from reconciler.cli.output import emit_data
from reconciler.errors import ErrorCode, ReconcilerError

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.model.world import Observed

EXAMPLES = """\
  reconciler show web
  reconciler show web --output json
  reconciler show web --merged                    # its spec, and where each value comes from
  reconciler show web --merged ./base ./site      # of these sources, the last with the last word

`--merged` reads files alone: the container need not exist, and its spec may be invalid (exit
code 3). Without sources it takes those that the containers were made from, and the default one."""

# Fields that are compared, and that no file has.
_NOT_IN_FILES = (
    *("source", "references", "isolation"),
    *("namespaces.mount", "namespaces.time"),
)
_NOT_LIMITED = (None, (), False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name, and the merged form with its sources."""
    parser.add_argument("name", metavar="NAME", help="the container")
    parser.add_argument(
        "sources", nargs="*", metavar="DIR", help="with --merged: directory or file of specs"
    )
    parser.add_argument(
        "--merged",
        action="store_true",
        help="print the spec, drop-ins and env files merged, with the file and line of each value",
    )


def run(args: argparse.Namespace) -> int:
    """Print it as YAML, or as JSON. Raises: NameNotFound, RecordCorrupt, SystemError, Usage."""
    if args.merged:
        return _show_merged(args)
    if args.sources:
        raise usage_error("sources are for show --merged: the kernel knows of no files")
    return _show_container(args)


def _show_merged(args: argparse.Namespace) -> int:
    from reconciler.cli.merged_view import show_merged

    engine = make_engine(args)
    sources = args.sources or known_sources(engine) or [default_source()]
    return show_merged(args.name, sources, engine.state_dir, args.output)


def _show_container(args: argparse.Namespace) -> int:
    from reconciler.control.observe import observe_container
    from reconciler.control.status import status_items

    engine = make_engine(args)
    try:
        container = load_container(engine, args.name)
    except ReconcilerError as error:
        mask = explain_mask(engine, args.name) if error.code is ErrorCode.NameNotFound else None
        if mask is None:
            raise
        message = f"cannot find container {args.name}: {mask}"
        raise ReconcilerError(error.code, message, container=args.name) from None
    observed = observe_container(container)
    if observed is None:
        raise name_not_found(engine, args.name)
    item = next(
        (one for one in status_items(look_at_all(engine)) if one["name"] == args.name), None
    )
    if item is None:
        raise name_not_found(engine, args.name)
    facts = {**item, **_collect(engine, container, observed)}
    emit_data(facts, "json" if args.output == "json" else "yaml")
    return 0


def _collect(engine: Engine, container: Container, observed: Observed) -> dict[str, Any]:
    """Return what there is beside an item of `status`."""
    from reconciler.model.moment import format_time

    record, spec = container.record, observed.spec
    return {
        "processes": container.processes() if observed.pid is not None else [],
        "createdAt": format_time(record.created_at),
        "failuresInARow": observed.memory.failures,
        "file": f"{spec.origin.file}:{spec.origin.line}" if spec is not None else None,
        "logs": os.path.join(engine.state_dir, "logs", observed.name),
        "record": engine.store.directory(observed.name),
        "cgroups": record.cgroups,
        "limits": _limits(observed),
        "spec": _spec(observed),
    }


def _spec(observed: Observed) -> dict[str, Any]:
    """Return the spec that it was last made equal to, spelled and nested as in a file."""
    from reconciler.model.spec import Origin, Spec
    from reconciler.planning.fields import FIELDS

    bare = Spec(name=observed.name, config=observed.config, origin=Origin(file=""), digest="")
    spec = observed.spec or bare
    nested: dict[str, Any] = {}
    for field in FIELDS:
        for path, value, _ in field.values(spec, spec):
            is_unset = value in _NOT_LIMITED if path.startswith("resources.") else value is None
            if not is_unset and field.path not in _NOT_IN_FILES:
                _place(nested, path, field.path, value)
    return nested


def _place(nested: dict[str, Any], path: str, field: str, value: object) -> None:
    """Put a value at its place; what follows the field's own path is one key (`env.A.B`)."""
    *outer, last = (
        field.split(".") if path == field else [*field.split("."), path[len(field) + 1 :]]
    )
    for name in outer:
        if nested.get(name) == "none":  # `logs: none` has no fields
            return
        if not isinstance(nested.get(name), dict):
            nested[name] = {}
        nested = nested[name]
    nested[last] = list(value) if isinstance(value, tuple) else value


def _limits(observed: Observed) -> dict[str, Any]:
    """Return the limits that the kernel shows, spelled as in a file."""
    from reconciler.planning.fields import FIELDS

    spelled = {field.path: field.spell_or_none for field in FIELDS}
    return {
        path: "unlimited" if value in (None, ()) else spelled[path](value)
        for path, value in observed.limits.items()
    }
