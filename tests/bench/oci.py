"""The whole of `reconciler-oci run` and of `runc run`: the same bundle, process by process.

Beside them what two starts of Python take that do nothing, since the interpreter that starts a
container is a sealed copy: the least that `reconciler-oci` could have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

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
        python = [sys.executable, "-I", "-S", "-c", "pass"]
        _time(ours)  # compiles the modules, as an installation does
        samples: tuple[list[int], list[int], list[int]] = ([], [], [])
        for _ in range(10 if short else 50):
            samples[0].append(_time(ours))
            samples[1].append(_time(runc.command(_ID)))
            samples[2].append(_time(python) + _time(python))
    names = ("reconciler-oci run", "runc run", "python -ISc pass, twice")
    figures = [
        f"{name} {median_ms(ns):.1f} ms ({spread_ms(ns)}, least {min(ns) / 1e6:.1f})"
        for name, ns in zip(names, samples, strict=True)
    ]
    ratio = median_ms(samples[0]) / median_ms(samples[1])
    say("oci", ", ".join(figures), judge("reconciler-oci/runc", ratio, OCI_TO_RUNC))


def _time(command: list[str]) -> int:
    environ = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    begin = time.monotonic_ns()
    subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic_ns() - begin
