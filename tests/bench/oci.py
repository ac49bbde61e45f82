"""The whole of `reconciler-oci run` and of `runc run`: the same bundle, process by process.

Beside them what a start of Python takes that does nothing: the least that `reconciler-oci` could
have. CPU time is what compares on a machine that is busy.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from reconciler.model.config import Config, Rootfs
from tests.bench.place import make_place
from tests.bench.report import judge, median_ms, say, spread_ms
from tests.bench.runc import make_runc

OCI_TO_RUNC = 1.3

_ID = "c1"
_PARENT = "reconciler-bench-runc"


def measure(*, short: bool) -> None:
    """Measure and print."""
    program = Path(sys.executable).with_name("reconciler-oci")
    if shutil.which("runc") is None or not program.exists():
        say("oci", "no runc, or reconciler-oci is not installed: not compared")
        return
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        bases = place.engine.driver.base_paths()
        runc = stack.enter_context(make_runc(place.base / "runc", bases, _PARENT))
        root = Rootfs(path=str(place.rootfs))
        runc.make_bundle(_ID, Config(command=("/bin/true",), rootfs=root), _PARENT)
        bundle = str(place.base / "runc" / _ID)
        ours = [str(program), "--root", str(place.base / "oci"), "run", "--bundle", bundle, _ID]
        _time(ours)  # compiles the modules, as an installation does
        _time(ours)  # and this keeps a snapshot of them
        commands = {
            "reconciler-oci run": ours,
            "runc run": runc.command(_ID),
            "python -ISc pass": [sys.executable, "-I", "-S", "-c", "pass"],
        }
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(10 if short else 50):
            for name, command in commands.items():
                runs[name].append(_time(command))
    _report(runs)


def _report(runs: dict[str, list[Run]]) -> None:
    figures: list[str] = []
    walls: list[float] = []
    cpus: list[float] = []
    for name, samples in runs.items():
        taken = [run.wall_ns for run in samples]
        walls.append(median_ms(taken))
        cpus.append(median_ms([run.cpu_ns for run in samples]))
        least = min(taken) / 1e6
        spread = f"{spread_ms(taken)}, least {least:.1f}, CPU time {cpus[-1]:.1f}"
        figures.append(f"{name} {walls[-1]:.1f} ms ({spread})")
    cpu = f"by CPU time {cpus[0] / cpus[1]:.2f}"
    floor = f"a Python that does nothing {cpus[2] / cpus[1]:.2f}"
    ratio = judge("reconciler-oci/runc", walls[0] / walls[1], OCI_TO_RUNC)
    say("oci", ", ".join(figures), f"{ratio}, {cpu}; {floor}")


class Run(NamedTuple):
    """One run: its time, and the CPU time of the process and of those that it waited for."""

    wall_ns: int
    cpu_ns: int


def _time(command: list[str]) -> Run:
    environ = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic_ns()
    subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall_ns = time.monotonic_ns() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Run(wall_ns, round(cpu_s * 1e9))
