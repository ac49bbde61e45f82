"""`reconciler top`: what running containers use, as rates, drawn again and again on a terminal."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli.arguments import duration_s
from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data, emit_table, plural, table_lines
from reconciler.cli.usage import (
    describe_without,
    read_pressure,
    size,
    spell_pressure,
    stats_if_alive,
)

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine
    from reconciler.model.stats import Stats

EXAMPLES = """\
  reconciler top                  # until q is pressed
  reconciler top web db --interval 5s
  reconciler top --once           # one table, as when the output is no terminal
  reconciler top --output json

CPU is in percent of one CPU; rates are those since the last look. PRESSURE is the share of the
last 10 s in which some task waited for it (cgroup v2 alone)."""

_HEADER = ("NAME", "CPU%", "MEMORY", "LIMIT", "MEM%", "TASKS", "READ/s", "WRITE/s", "PRESSURE")
_ONCE_S = 0.5
_FIRST_S = 0.1


class Usage(NamedTuple):
    """What one container uses: shares in percent, bytes and bytes a second."""

    name: str
    cpu_percent: float
    memory_bytes: int
    limit_bytes: int | None
    tasks: int
    tasks_limit: int | None
    read_bytes_s: float
    write_bytes_s: float
    pressure: dict[str, float]

    def row(self) -> list[str]:
        """Return the cells of the table."""
        limit, tasks = self.limit_bytes, str(self.tasks)
        return [
            self.name,
            f"{self.cpu_percent:.1f}",
            size(self.memory_bytes),
            size(limit),
            f"{100 * self.memory_bytes / limit:.0f}" if limit else "",
            tasks if self.tasks_limit is None else f"{tasks}/{self.tasks_limit}",
            size(self.read_bytes_s),
            size(self.write_bytes_s),
            spell_pressure(self.pressure),
        ]

    def to_json(self) -> dict[str, object]:
        """Return it as the items of `--output json` are."""
        return {
            "name": self.name,
            "cpuPercent": round(self.cpu_percent, 1),
            "memoryBytes": self.memory_bytes,
            "memoryLimitBytes": self.limit_bytes,
            "tasks": self.tasks,
            "tasksLimit": self.tasks_limit,
            "readBytesPerSecond": round(self.read_bytes_s),
            "writeBytesPerSecond": round(self.write_bytes_s),
            "pressurePercent": self.pressure,
        }


class Sample(NamedTuple):
    """The figures of all containers at one moment (monotonic seconds).

    `without` says which have none, and why.
    """

    at: float
    stats: dict[str, Stats]
    pressures: dict[str, dict[str, float]]
    without: str | None = None

    def since(self, before: Sample) -> list[Usage]:
        """Return what was used between two samples, most CPU first.

        What was started between them counts from its start.
        """
        span_s = max(self.at - before.at, 1e-3)
        usages = [self._usage(name, before.stats.get(name), span_s) for name in self.stats]
        return sorted(usages, key=lambda usage: (-usage.cpu_percent, usage.name))

    def _usage(self, name: str, before: Stats | None, span_s: float) -> Usage:
        now = self.stats[name]
        if before is None or before.cpu.usage_ns > now.cpu.usage_ns:  # a new cgroup
            before = type(now)(at=now.at)
        return Usage(
            name=name,
            cpu_percent=(now.cpu.usage_ns - before.cpu.usage_ns) / 1e7 / span_s,
            memory_bytes=now.memory.usage_bytes,
            limit_bytes=now.memory.limit_bytes,
            tasks=now.pids.current,
            tasks_limit=now.pids.limit,
            read_bytes_s=max(0, now.io.read_bytes - before.io.read_bytes) / span_s,
            write_bytes_s=max(0, now.io.write_bytes - before.io.write_bytes) / span_s,
            pressure=self.pressures[name],
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, and how to show them."""
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="containers (default: all that run)"
    )
    parser.add_argument(
        "--interval",
        metavar="DURATION",
        type=_interval_s,
        default=1.0,
        help="draw so often, 100ms at least (default: 1s)",
    )
    parser.add_argument("--once", action="store_true", help="print one table and end")


def run(args: argparse.Namespace) -> int:
    """Show the table. Raises: NameNotFound, SystemError."""
    engine = make_engine(args)
    for name in args.names:
        load_container(engine, name)
    first = _sample(engine, args.names)
    if args.output == "table" and not args.once and sys.stdout.isatty():
        _run_live(engine, args, first)
        return 0
    time.sleep(_ONCE_S)
    second = _sample(engine, args.names)
    usages = second.since(first)
    if args.output != "table":
        emit_data({"items": [usage.to_json() for usage in usages]}, args.output)
        return 0
    if usages:
        emit_table(_HEADER, (usage.row() for usage in usages))
    if second.without or not usages:
        emit(second.without or "no container is running")
    return 0


def _run_live(engine: Engine, args: argparse.Namespace, before: Sample) -> None:
    from reconciler.cli.screen import Screen

    with Screen() as screen:
        key = screen.wait_key(_FIRST_S)
        while key not in ("q", "Q"):
            sample = _sample(engine, args.names)
            screen.draw(_lines(sample.since(before), sample.without))
            before = sample
            key = screen.wait_key(args.interval)


def _lines(usages: list[Usage], without: str | None) -> list[str]:
    busy = sum(usage.cpu_percent for usage in usages)
    memory = sum(usage.memory_bytes for usage in usages)
    title = f"{plural(len(usages), 'container')}, {busy:.0f}% of a CPU, {size(memory)} - q ends"
    table = table_lines(_HEADER, (usage.row() for usage in usages))
    return [title, "", *table, *(["", without] if without else ())]


def _sample(engine: Engine, names: list[str]) -> Sample:
    containers = [one for one in engine.list() if not names or one.id in names]
    found = {one.id: stats for one in containers if (stats := stats_if_alive(one)) is not None}
    pressures = {one.id: read_pressure(one.record.cgroups) for one in containers if one.id in found}
    return Sample(time.monotonic(), found, pressures, describe_without(containers))


def _interval_s(text: str) -> float:
    return max(0.1, duration_s(text))
