"""(g) How fast a change is answered: a written file to the first instruction, a death to a restart.

The command is a shell that writes to a FIFO, which we wait at: fork, exec and the shell's start
are in each figure. Ours is the daemon, beyond its settle window (the first figure less 100 ms);
the restart is without backoff. supervisord: `supervisorctl update` once the section is written,
and its own restart (`startsecs=0`). podman: `podman run -d`, and `--restart always`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

from reconciler.daemon.watch import Settings
from tests.bench.daemon import Bell, await_quiet, run_watch
from tests.bench.place import Place, make_place
from tests.bench.podman import has_podman, make_podman
from tests.bench.report import judge, median_ms, say, spread_ms
from tests.bench.supervisord import find_supervisor, make_supervisor

START_MS = 30.0
RESTART_MS = 20.0

_SPEC = """\
command: [/bin/busybox, sh, -c, "echo > /bell/fifo; exec /bin/sleep infinity"]
rootfs: {{path: {rootfs}}}
mounts: [{{type: bind, source: {bell}, target: /bell}}]
restart: {{policy: always, backoff: {{initial: 0s}}}}
"""


def measure(*, short: bool) -> None:
    """Measure and print."""
    rounds = 5 if short else 40
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        (place.rootfs / "bell").mkdir()
        (place.base / "bell").mkdir()
        bell = Bell(place.base / "bell/fifo")
        stack.callback(bell.close)
        _measure_ours(place, bell, rounds)
        _measure_supervisor(place, bell, rounds)
        _measure_podman(place, bell, 3 if short else 10)


def _measure_ours(place: Place, bell: Bell, rounds: int) -> None:
    text = _SPEC.format(rootfs=place.rootfs, bell=bell.path.parent)
    settle_ns = int(Settings().settle_s * 1e9)
    with run_watch(place) as daemon_pid:

        def start(index: int) -> None:
            temporary = place.base / "spec.tmp"
            temporary.write_text(text)
            temporary.rename(place.specs / f"c{index}.yaml")

        def rest() -> None:
            await_quiet(place, daemon_pid, len(list(place.specs.iterdir())))

        def pid_of(index: int) -> int:
            init = place.engine.load(f"c{index}").record.init
            return init.pid if init is not None else 0

        rest()
        starts = _time_starts(bell, start, rest, rounds)
        restarts = _time_restarts(bell, pid_of, rest, rounds)
    place.clear()
    beyond = [sample - settle_ns for sample in starts]
    say(
        "react",
        judge("file to first instruction, beyond settling", median_ms(beyond), START_MS, " ms"),
        f"({spread_ms(beyond)})",
        judge("death to restart", median_ms(restarts), RESTART_MS, " ms"),
        f"({spread_ms(restarts)})",
    )


def _measure_supervisor(place: Place, bell: Bell, rounds: int) -> None:
    if find_supervisor() is None:
        say("react", "no supervisord (pip install supervisor): not compared")
        return
    command = f"/bin/sh -c 'echo > {bell.path}; exec sleep infinity'"
    with make_supervisor(place.base / "supervisor") as supervisor:

        def start(index: int) -> None:
            supervisor.write_program(f"c{index}", command)
            supervisor.control("update")

        def pid_of(index: int) -> int:
            return supervisor.pid_of(f"c{index}")

        starts = _time_starts(bell, start, _rest, rounds)
        restarts = _time_restarts(bell, pid_of, _rest, rounds)
    _say_theirs("supervisord, plain processes", starts, restarts)


def _measure_podman(place: Place, bell: Bell, rounds: int) -> None:
    if not has_podman():
        say("react", "no podman: not compared")
        return
    command = ["/bin/busybox", "sh", "-c", "echo > /bell/fifo; exec /bin/sleep infinity"]
    options = ("--restart", "always", "--volume", f"{bell.path.parent}:/bell")
    with make_podman(place.base / "podman") as podman:

        def start(index: int) -> None:
            podman.run(f"c{index}", place.rootfs, command, *options)

        def pid_of(index: int) -> int:
            return podman.pid_of(f"c{index}")

        starts = _time_starts(bell, start, _rest, rounds)
        restarts = _time_restarts(bell, pid_of, _rest, rounds)
    _say_theirs("podman run -d", starts, restarts)


def _say_theirs(what: str, starts: list[int], restarts: list[int]) -> None:
    figures = [
        f"{name} {median_ms(samples):.1f} ms ({spread_ms(samples)})"
        for name, samples in (("to first instruction", starts), ("death to restart", restarts))
    ]
    say("react", f"{what}: {', '.join(figures)}")


def _rest() -> None:
    time.sleep(0.3)


def _time_starts(
    bell: Bell, start: Callable[[int], None], rest: Callable[[], None], rounds: int
) -> list[int]:
    """Return the nanoseconds from a wish to the first instruction, of `rounds` containers."""
    samples = []
    for index in range(rounds):
        begin = time.monotonic_ns()
        start(index)
        samples.append(bell.await_ring() - begin)
        rest()
    return samples


def _time_restarts(
    bell: Bell, pid_of: Callable[[int], int], rest: Callable[[], None], rounds: int
) -> list[int]:
    """Return the nanoseconds from the kill of each container to its first instruction again."""
    samples = []
    for index in range(rounds):
        pid = pid_of(index)
        begin = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        samples.append(bell.await_ring() - begin)
        rest()
    return samples
