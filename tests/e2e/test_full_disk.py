"""A full disk for logs and state: a clear error, and what runs goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.instance import Instance, shell, sleeper
from tests.e2e.waiting import wait_until

COUNT = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done"


@contextmanager
def small_disk(reconciler: Instance, point: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB at `point`; at the end destroy the containers and unmount it."""
    point.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(point)]
    subprocess.run(mount, check=True)
    try:
        yield point
        reconciler.items()
        reconciler.run("destroy", "--all")
        wait_until(lambda: not reconciler.monitors(), "the idle monitor ends")
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte; return the file that does it."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return path


def test_a_full_disk_for_logs_stops_no_container(reconciler: Instance) -> None:
    with small_disk(reconciler, reconciler.state_dir) as disk:
        reconciler.write("count.yaml", shell(COUNT))
        reconciler.apply()
        reconciler.wait_for_log("count", "2")
        pid = reconciler.pid("count")
        filler = fill(disk)
        beat = reconciler.base / "beat"
        beat.mkdir(mode=0o777)
        beat.chmod(0o777)
        mounts = [{"type": "bind", "source": str(beat), "target": "/tmp/beat"}]
        script = "while :; do echo long line of output here; echo x >> /tmp/beat/n; done"
        reconciler.write("flood.yaml", shell(script, mounts=mounts))
        result = reconciler.apply(exits=None)
        assert result.code in (0, 1)
        assert result.code == 0 or result.codes == {"NoSpace"}, str(result)
        assert reconciler.pid("count") == pid
        if result.code == 0:
            size = (beat / "n").stat().st_size
            wait_until(lambda: (beat / "n").stat().st_size > size + 100_000, "it is not blocked")
        last = reconciler.logs("count")[-1:]
        filler.unlink()
        reconciler.write("flood.yaml", sleeper())
        reconciler.apply()
        wait_until(lambda: reconciler.logs("count")[-1:] != last, "it logs again")
        assert reconciler.pid("count") == pid


def test_a_full_disk_for_state_is_an_error_and_leaves_no_half_container(
    reconciler: Instance,
) -> None:
    with small_disk(reconciler, reconciler.run_dir) as disk:
        reconciler.write("good.yaml", sleeper())
        reconciler.apply()
        pid = reconciler.pid("good")
        filler = fill(disk)
        reconciler.write("new.yaml", sleeper())
        result = reconciler.apply(exits=1)
        assert result.codes == {"NoSpace"}
        assert reconciler.pid("good") == pid
        assert reconciler.item("new")["pid"] is None
        assert not any((root / "new").exists() for root in reconciler.cgroups)
        filler.unlink()
        reconciler.apply()
        assert reconciler.made() == {"good", "new"}
        assert reconciler.pid("good") == pid


def test_a_full_disk_for_state_from_the_start_is_an_error(reconciler: Instance) -> None:
    with small_disk(reconciler, reconciler.run_dir) as disk:
        filler = fill(disk)
        reconciler.write("web.yaml", sleeper())
        result = reconciler.apply(exits=1)
        assert "NoSpace" in result.codes
        filler.unlink()
        reconciler.apply()


def test_a_container_can_be_destroyed_when_the_disk_is_full(reconciler: Instance) -> None:
    with small_disk(reconciler, reconciler.run_dir) as disk:
        reconciler.write("a.yaml", sleeper())
        reconciler.write("b.yaml", sleeper())
        reconciler.apply()
        fill(disk)
        reconciler.remove("a.yaml")
        reconciler.apply()
        assert reconciler.made() == {"b"}
