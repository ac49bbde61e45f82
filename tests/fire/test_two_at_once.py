"""Two daemons and a cron loop at once: no container runs twice, nobody fights, one takes over.

Real processes. Each init holds a lock for as long as it lives, and says so if it is not alone.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.errors import ReconcilerError
from tests.e2e.conftest import lend
from tests.e2e.instance import COMMAND, Instance, shell
from tests.e2e.waiting import wait_until

pytestmark = [
    pytest.mark.requires_root,
    pytest.mark.requires_command("flock"),
    pytest.mark.timeout(300),
]

NAMES = ["a", "b", "c", "d"]
ROUNDS = int(os.environ.get("RECONCILER_FIRE_ROUNDS", "24"))
STARTS = frozenset({"create", "recreate", "start", "restart"})
INTERVAL = "200ms"
ALONE = """
exec 9>>/mnt/{name}.lock
flock -n 9 || echo {name} >>/mnt/doubles
echo x >>/mnt/{name}.starts
exec sleep inf
"""


@pytest.fixture
def reconciler() -> Iterator[Instance]:
    yield from lend()


class Daemon:
    """A `reconciler watch`, and the records of its log so far."""

    def __init__(self, instance: Instance, source: Path, name: str) -> None:
        self.log = instance.base / f"{name}.log"
        words = ["watch", str(source), "--interval", INTERVAL, "--log-format", "json", "--debug"]
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*COMMAND, *words], env=instance.environ, stdout=stream, stderr=stream
            )

    def records(self) -> list[dict[str, Any]]:
        whole = self.log.read_bytes().rpartition(b"\n")[0]
        lines = whole.splitlines()
        assert all(line.startswith(b"{") for line in lines), whole.decode()[-3000:]
        return [json.loads(line) for line in lines]

    def passes(self) -> int:
        return sum(one["message"].startswith("pass: ") for one in self.records())

    def has_said(self, *texts: str) -> bool:
        return any(all(text in one["message"] for text in texts) for one in self.records())

    def await_passes(self, count: int) -> None:
        """Wait until it has begun so many passes more: all but the last are over."""
        aim = self.passes() + count
        wait_until(lambda: self.passes() >= aim, f"{aim} passes in {self.log}", 60)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Place:
    """Where the inits of an instance leave their traces."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.data = instance.base / "data"
        self.data.mkdir()
        self.data.chmod(0o777)
        self.engine = Engine(run_dir=str(instance.run_dir), state_dir=str(instance.state_dir))

    def spec(self, name: str, **fields: Any) -> dict[str, Any]:
        mount = {"type": "bind", "source": str(self.data), "target": "/mnt", "options": ["rw"]}
        backoff = {"backoff": {"initial": "10ms", "max": "10ms"}}
        return shell(ALONE.format(name=name), mounts=[mount], restart=backoff) | fields

    def starts(self) -> dict[str, int]:
        return {path.stem: path.read_text().count("x") for path in self.data.glob("*.starts")}

    def doubles(self) -> str:
        path = self.data / "doubles"
        return path.read_text() if path.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        lines = (self.instance.state_dir / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def journaled_starts(self) -> Counter[str]:
        return Counter(one["object"] for one in self.events() if one["name"] in STARTS)

    def kill_init(self, name: str) -> None:
        try:
            self.engine.load(name).signal(9)
        except ReconcilerError:
            return  # it is just being replaced

    def pids(self) -> dict[str, int]:
        found = {one.id: one.record.init for one in self.engine.list()}
        return {name: init.pid for name, init in found.items() if init is not None}


class Cron(threading.Thread):
    """Applies the source again and again until it is told to end; notes what was no success."""

    def __init__(self, instance: Instance, source: Path) -> None:
        super().__init__(name="cron")
        self.instance = instance
        self.source = source
        self.is_over = threading.Event()
        self.runs = 0
        self.failed: list[str] = []

    def run(self) -> None:
        while not self.is_over.is_set():
            done = subprocess.run(
                [*COMMAND, "apply", str(self.source)],
                env=self.instance.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            self.runs += 1
            if done.returncode != 0:
                self.failed.append(f"{done.returncode}: {done.stdout}{done.stderr}")


def change_something(place: Place, rng: random.Random, number: int) -> None:
    """Edit one file, or kill an init, as users and the kernel do."""
    name, source = rng.choice(NAMES), place.instance.source
    kind = rng.randrange(5)
    if kind == 0:
        place.kill_init(name)
    elif kind == 1 and len(list(source.glob("*.yaml"))) > 2:
        (source / f"{name}.yaml").unlink(missing_ok=True)
    elif kind == 2:
        place.instance.write(f"{name}.yaml", place.spec(name, env={"N": str(number)}))
    elif kind == 3:
        limit = {"pids": {"max": 50 + number}}
        place.instance.write(f"{name}.yaml", place.spec(name, resources=limit))
    else:
        place.instance.write(f"{name}.yaml", place.spec(name, rootfs={"readonly": number % 2 == 0}))


def test_two_daemons_and_cron_on_one_source_start_everything_once(reconciler: Instance) -> None:
    place, rng = Place(reconciler), random.Random(5)
    for name in NAMES:
        reconciler.write(f"{name}.yaml", place.spec(name))
    first = Daemon(reconciler, reconciler.source, "first")
    first.await_passes(1)
    second = Daemon(reconciler, reconciler.source, "second")
    cron = Cron(reconciler, reconciler.source)
    cron.start()
    try:
        for number in range(ROUNDS):
            change_something(place, rng, number)
            survivor = second if number >= ROUNDS // 2 else first
            survivor.await_passes(1)
            if number == ROUNDS // 2:
                first.process.kill()  # in the middle of whatever it does
                first.process.wait()
        cron.is_over.set()
        cron.join()
        wait_until(reconciler.is_converged, "converged", 60)
        second.await_passes(2)
        pids, starts, events = place.pids(), place.starts(), len(place.events())
        second.await_passes(5)
        assert (place.pids(), place.starts()) == (pids, starts)
        assert place.events()[events:] == []
    finally:
        cron.is_over.set()
        cron.join()
        second.end()
        first.process.kill()
        first.process.wait()
    assert second.has_said("another `reconciler watch`", f"pid {first.process.pid}:")
    assert not first.has_said("another `reconciler watch`")
    assert sorted(pids) == sorted(path.stem for path in reconciler.source.glob("*.yaml"))
    assert place.doubles() == ""
    journaled = place.journaled_starts()
    assert {name: count for name, count in starts.items() if count > journaled[name]} == {}
    assert cron.runs > 0
    assert cron.failed == []


def test_of_two_sources_with_one_name_the_first_keeps_it_and_the_other_is_told(
    reconciler: Instance,
) -> None:
    place = Place(reconciler)
    other = reconciler.base / "other"
    other.mkdir()
    reconciler.write("web.yaml", place.spec("web"))
    first = Daemon(reconciler, reconciler.source, "first")
    wait_until(lambda: place.starts().get("web") == 1, "web starts")
    (other / "web.yaml").write_text(json.dumps(place.spec("web", env={"OF": "other"})))
    (other / "own.yaml").write_text(json.dumps(place.spec("own")))
    second = Daemon(reconciler, other, "second")
    try:
        wait_until(lambda: place.starts().get("own") == 1, "own starts")
        wait_until(
            lambda: second.has_said("web", f"belongs to {reconciler.source}", "another name"),
            "the second says whose it is and what to do",
        )
        pids = place.pids()
        for number in range(3):
            (other / "web.yaml").write_text(json.dumps(place.spec("web", env={"OF": str(number)})))
            first.await_passes(3)
            second.await_passes(3)
        assert (place.pids(), place.starts()) == (pids, {"web": 1, "own": 1})
        told = [one for one in second.records() if "belongs to" in one["message"]]
        assert len(told) == 1  # once, not with each pass
        reconciler.remove("web.yaml")
        reconciler.write("rest.yaml", place.spec("rest"))  # or the source would be empty
        wait_until(lambda: place.starts().get("web") == 2, "the second takes the name over")
        assert place.engine.load("web").record.config.env == {"OF": "2"}
        assert place.doubles() == ""
    finally:
        first.end()
        second.end()
    # as the instance has two sources, it cannot be closed by one
    reconciler.run("destroy", "--all")
