"""Attackers that exchange names in a root file system while containers start in it.

CVE-2021-30465, CVE-2019-19921 (and CVE-2023-27561, its return), CVE-2025-31133, CVE-2024-45310:
each race is won against a runtime that goes by names, and lost against this one.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import Config, Engine, ReconcilerError
from reconciler.model.config import Mount, MountType, Rootfs
from tests.integration.oci.conftest import Oci, make_spec
from tests.security.racing import exchanging, mount_rows, open_procs

pytestmark = pytest.mark.requires_root

STARTS = 24  # of the engine; the command line takes ten times as long for each
PATIENCE_S = 60

# What a runtime does that names its targets again and again.
_NAIVE = """
import os, sys
from reconciler.linux import mount as m
from reconciler.linux.process import CloneFlag, unshare
root = sys.argv[1]
unshare(CloneFlag.NEWNS)
m.mount(None, "/", None, m.MountFlag.REC | m.MountFlag.PRIVATE)
m.mount("proc", f"{root}/proc", "proc", 0)
m.mount("/dev/null", f"{root}/proc/keys", None, m.MountFlag.BIND)
m.mount(f"{root}/proc/sys", f"{root}/proc/sys", None, m.MountFlag.BIND)
m.set_mount_attributes(f"{root}/proc/sys", m.MountAttr.RDONLY, recursive=False)
rows = open("/proc/self/mountinfo").read().splitlines()
print("\\n".join(row for row in rows if f"{root}/" in row))
"""


def naive(rootfs: Path) -> str:
    command = [sys.executable, "-c", _NAIVE, str(rootfs)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def eventually(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


@pytest.fixture
def attacked(rootfs: Path) -> Path:
    """Return a root file system with a directory that looks like /proc."""
    (rootfs / "fake/sys").mkdir(parents=True)
    (rootfs / "fake/keys").write_text("")
    return rootfs


@pytest.fixture(params=["a directory", "a link"])
def other(request: pytest.FixtureRequest, attacked: Path) -> Path:
    """Return what /proc is exchanged with."""
    if request.param == "a directory":
        return attacked / "fake"
    (attacked / "link").symlink_to("fake")
    return attacked / "link"


def test_a_runtime_that_goes_by_names_loses_the_race_for_proc(attacked: Path) -> None:
    assert naive(attacked)
    assert not open_procs(naive(attacked))
    with exchanging(attacked / "proc", attacked / "fake"):
        assert eventually(lambda: open_procs(naive(attacked)))


def starts(engine: Engine, config: Config) -> Iterator[str]:
    """Start containers one after the other; yield the mountinfo of those that run."""
    running, deadline = 0, time.monotonic() + PATIENCE_S
    for number in itertools.count():
        container = engine.create(f"c{number}", config)
        try:
            yield Path(f"/proc/{container.start().pid}/mountinfo").read_text()
            running += 1
        except ReconcilerError:
            pass  # a name was gone in that moment: refused
        finally:
            container.destroy()
        if running and number >= STARTS:
            return
        assert time.monotonic() < deadline


def starts_of_oci(oci: Oci) -> Iterator[str]:
    running, deadline = 0, time.monotonic() + PATIENCE_S
    for number in itertools.count():
        name = oci.id(f"c{number}")
        with open(os.devnull, "r+b") as null:  # a container has no pipe of ours
            command = [*oci.program, "create", name]
            done = subprocess.run(
                command, stdin=null, stdout=null, stderr=null, cwd=oci.bundle, check=False
            )
        if done.returncode == 0:
            yield Path(f"/proc/{oci.state(name)['pid']}/mountinfo").read_text()
            oci.ok("delete", "--force", name)
            running += 1
        if running and number >= STARTS // 4:
            return
        assert time.monotonic() < deadline


def sleeper(rootfs: Path, **fields: Any) -> Config:
    root = Rootfs(path=str(rootfs), readonly=False)
    return Config(command=("/bin/sleep", "1000"), rootfs=root, **fields)


def test_a_procfs_is_masked_whatever_its_name_leads_to(
    engine: Engine, attacked: Path, other: Path
) -> None:
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-31133: through the monitor."""
    with exchanging(attacked / "proc", other):
        for mounts in starts(engine, sleeper(attacked)):
            assert not open_procs(mounts), mounts
            assert any(row.fs_type == "proc" for row in mount_rows(mounts))


def test_the_command_line_masks_the_procfs_that_it_has_mounted(
    oci: Oci, write_spec: Callable[[dict[str, Any]], None], attacked: Path
) -> None:
    spec = make_spec("/bin/sleep", "1000")
    spec["linux"] |= {"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"]}
    write_spec(spec)
    with exchanging(attacked / "proc", attacked / "fake"):
        for mounts in starts_of_oci(oci):
            assert not open_procs(mounts), mounts


def test_paths_are_masked_with_the_null_device_alone(engine: Engine, attacked: Path) -> None:
    """CVE-2025-31133: /dev and a directory in which `null` is something else change places."""
    bad = attacked / "bad"
    bad.mkdir()
    (bad / "null").symlink_to("/proc/sys/kernel/core_pattern")
    with exchanging(attacked / "dev", bad):
        for mounts in starts(engine, sleeper(attacked)):
            covered = [row for row in mount_rows(mounts) if row.point.endswith("/keys")]
            assert [row.root for row in covered] == ["/null"], mounts
            assert not open_procs(mounts)
    assert sorted(path.name for path in bad.iterdir()) in (["null"], [])


def test_the_standard_streams_are_the_null_device_alone(engine: Engine, attacked: Path) -> None:
    secret = attacked / "etc/secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    bad = attacked / "bad"
    bad.mkdir()
    (bad / "null").symlink_to("/etc/secret")
    config = sleeper(attacked, user="1500:1600")
    with exchanging(attacked / "dev", bad):
        for number in range(STARTS):
            container = engine.create(f"c{number}", config)
            try:
                pid = container.start().pid
                assert os.stat(f"/proc/{pid}/fd/0").st_rdev == os.makedev(1, 3)
            except ReconcilerError:
                pass  # a name was gone in that moment
            finally:
                container.destroy()


@pytest.fixture
def outside(tmp_path: Path, attacked: Path) -> Path:
    """Return a directory of the host that a link in the root file system leads to."""
    path = tmp_path / "outside"
    path.mkdir()
    (attacked / "escape").symlink_to(f"../../../../../../../..{path}")
    return path


def test_a_runtime_that_goes_by_names_makes_files_outside(attacked: Path, outside: Path) -> None:
    place = attacked / "srv/data"

    def attempt() -> bool:
        try:
            place.mkdir(exist_ok=True)
        except OSError:
            return False
        return any(outside.iterdir())

    with exchanging(attacked / "srv", attacked / "escape"):
        assert eventually(attempt)


def test_a_mount_target_is_neither_made_nor_mounted_outside(
    engine: Engine, attacked: Path, outside: Path, tmp_path: Path
) -> None:
    """CVE-2021-30465, CVE-2024-45310: a directory and a file, through the monitor."""
    volume, file = tmp_path / "volume", tmp_path / "file"
    volume.mkdir()
    file.write_text("")
    mounts = (
        Mount(type=MountType.BIND, source=str(volume), target="/srv/data/volume"),
        Mount(type=MountType.BIND, source=str(file), target="/srv/data/file"),
        Mount(type=MountType.TMPFS, target="/srv/data/tmp"),
    )
    known = {str(attacked), str(volume), str(file)}
    with exchanging(attacked / "srv", attacked / "escape"):
        for mountinfo in starts(engine, sleeper(attacked, mounts=mounts)):
            of_host = {row.root for row in mount_rows(mountinfo) if row.fs_type == "ext4"}
            assert {root for root in of_host if root.startswith(str(tmp_path))} <= known
    assert list(outside.iterdir()) == []
    assert not os.path.ismount(outside)


def test_the_command_line_makes_and_mounts_nothing_outside(
    oci: Oci, write_spec: Callable[[dict[str, Any]], None], attacked: Path, outside: Path
) -> None:
    spec = make_spec("/bin/sleep", "1000")
    spec["process"]["cwd"] = "/srv/work/here"
    spec["mounts"].append({"destination": "/srv/data/tmp", "type": "tmpfs", "source": "tmpfs"})
    spec["linux"]["devices"] = [{"path": "/srv/node", "type": "c", "major": 1, "minor": 3}]
    write_spec(spec)
    with exchanging(attacked / "srv", attacked / "escape"):
        for _ in starts_of_oci(oci):  # a link may lead to a place of that name inside its root
            assert str(outside) not in Path("/proc/self/mountinfo").read_text()
    assert list(outside.iterdir()) == []
