"""(b) From nothing to many running containers: `reconciler apply` against a loop of `runc run -d`.

Both include their own start: the interpreter, the monitor and its sealed copy on one side, the
shell and runc, once a container, on the other. The containers are equal (see `runc`).
"""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import time
from contextlib import ExitStack

from reconciler.model.config import Config, Rootfs
from tests.bench.place import Place, make_place
from tests.bench.report import judge, say
from tests.bench.runc import Runc, make_runc

TO_RUNC = 1 / 4

_RUNC_PARENT = "reconciler-bench-runc"


def measure(*, short: bool) -> None:
    """Measure and print."""
    count, rounds = (20, 2) if short else (100, 3)
    apply_s: list[float] = []
    runc_s: list[float] = []
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        place.grow(1)
        _apply(place)  # compiles the modules, as an installation does
        place.grow(count)
        runc = None
        if shutil.which("runc"):
            runc = _make_bundles(stack, place, count)
        for _ in range(rounds):
            apply_s.append(_apply(place))
            if runc is not None:
                runc_s.append(_loop(runc, count))
    ours = statistics.median(apply_s)
    say_ours = f"{count} containers: apply {ours:.2f} s ({ours / count * 1e3:.1f} ms each)"
    if not runc_s:
        say("converge", say_ours)
        return
    theirs = statistics.median(runc_s)
    say_theirs = f"loop of runc run -d {theirs:.2f} s ({theirs / count * 1e3:.1f} ms each)"
    say("converge", f"{say_ours}, {say_theirs}", judge("apply/runc", ours / theirs, TO_RUNC))


def _make_bundles(stack: ExitStack, place: Place, count: int) -> Runc:
    bases = place.engine.driver.base_paths()
    runc = stack.enter_context(make_runc(place.base / "runc", bases, _RUNC_PARENT))
    config = Config(command=("/bin/sleep", "infinity"), rootfs=Rootfs(path=str(place.rootfs)))
    for index in range(count):
        runc.make_bundle(f"c{index}", config, _RUNC_PARENT)
    return runc


def _apply(place: Place) -> float:
    """Return the seconds from nothing to all; then there is nothing again."""
    begin = time.monotonic()
    place.run("apply", str(place.specs))
    taken = time.monotonic() - begin
    place.clear()
    return taken


def _loop(runc: Runc, count: int) -> float:
    lines = [shlex.join(runc.command(f"c{index}", "-d")) for index in range(count)]
    script = "set -e\n" + "".join(f"{line} </dev/null >/dev/null 2>&1\n" for line in lines)
    begin = time.monotonic()
    subprocess.run(["/bin/sh", "-c", script], check=True)
    taken = time.monotonic() - begin
    runc.delete_all()
    return taken
