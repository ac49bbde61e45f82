"""`reconciler stats`: what running containers use, from their cgroups."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import camel_case, emit, emit_data, emit_table
from reconciler.cli.usage import describe_without, size, stats_if_alive

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

EXAMPLES = """\
  reconciler stats
  reconciler stats web db
  reconciler stats --output json"""

_HEADER = ("NAME", "CPU TIME", "THROTTLED", "MEMORY", "LIMIT", "PEAK", "TASKS", "READ", "WRITTEN")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="containers (default: all that run)"
    )


def run(args: argparse.Namespace) -> int:
    """Print one row a container. Raises: NameNotFound, ContainerNotRunning, SystemError."""
    engine = make_engine(args)
    containers = [] if args.names else engine.list()
    if args.names:
        figures = {name: load_container(engine, name).stats() for name in args.names}
    else:
        figures = {one.id: stats for one in containers if (stats := stats_if_alive(one))}
    if args.output != "table":
        from reconciler.model.codec import to_dict

        items = [{"name": name, **to_dict(one)} for name, one in figures.items()]
        emit_data({"items": camel_case(items)}, args.output)
        return 0
    without = describe_without(containers)
    if figures:
        emit_table(_HEADER, (_row(name, stats) for name, stats in figures.items()))
    if without or not figures:
        emit(without or "no container is running")
    return 0


def _row(name: str, stats: Stats) -> list[str]:
    tasks = str(stats.pids.current)
    if stats.pids.limit is not None:
        tasks += f"/{stats.pids.limit}"
    return [
        name,
        f"{stats.cpu.usage_ns / 1e9:.2f}s",
        f"{stats.cpu.throttled_ns / 1e9:.2f}s",
        size(stats.memory.usage_bytes),
        size(stats.memory.limit_bytes),
        size(stats.memory.peak_bytes),
        tasks,
        size(stats.io.read_bytes),
        size(stats.io.write_bytes),
    ]
