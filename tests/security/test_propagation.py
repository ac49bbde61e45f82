"""Mounts that cross between host and container: what the host mounts later comes without `ro`.

On a host whose mounts are shared, as systemd makes them: each test has a shared mount of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import Config, Engine
from reconciler.engine.container import Container
from reconciler.model.config import Mount, MountType
from reconciler.model.frozen import replace
from reconciler.model.isolation import MountSpec
from tests.integration.conftest import in_root, shell
from tests.integration.listed import listed
from tests.integration.oci.conftest import Oci, make_spec
from tests.integration.test_exec import run_in

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]
MOUNT_LATE = ["mount", "-t", "tmpfs", "-o", "mode=1777", "late"]
SYS_ADMIN = {name: ["CAP_SYS_ADMIN"] for name in ("effective", "permitted", "bounding")}


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """Give a directory of the host that is a shared mount, outside of what the host's /tmp is."""
    directory = Path("/srv") / f"reconciler-{tmp_path.name}"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    subprocess.run(["mount", "--make-shared", directory], check=True)
    (directory / "late").mkdir()
    (directory / "inner").mkdir()
    yield directory
    subprocess.run(["umount", "--recursive", directory], check=True)
    directory.rmdir()


def _bound(rootfs: Path, shared: Path) -> Config:
    mount = Mount(type=MountType.BIND, source=str(shared), target="/data", options=("ro",))
    (rootfs / "data").mkdir()
    return in_root(rootfs, "exec sleep 1000", user="0:0", mounts=(mount,))


def _bound_and_listed(rootfs: Path, shared: Path) -> Config:
    config = listed(rootfs, "exec sleep 1000")
    options = ("rbind", "ro")
    mount = MountSpec(destination="/data", type="bind", source=str(shared), options=options)
    mounts = (*(config.isolation.mounts or ()), mount)

    return replace(config, user="0:0", isolation=replace(config.isolation, mounts=mounts))


def _write_late(container: Container, place: str) -> str:
    return run_in(container, f"cd {place}/late && touch seen && ls /{place}/late", user="0:0")[1]


@pytest.mark.parametrize("make_config", [_bound, _bound_and_listed])
def test_what_is_mounted_later_below_a_bind_mount_stays_out(
    engine: Engine, rootfs: Path, shared: Path, make_config: Callable[[Path, Path], Config]
) -> None:
    """It would be writable, as `ro` was set of what was there. Mutation: CloneTree's default 0."""
    container = engine.create("c1", make_config(rootfs, shared))
    container.start()
    subprocess.run([*MOUNT_LATE, shared / "late"], check=True)
    _write_late(container, "/data")
    assert list((shared / "late").iterdir()) == []


def test_what_is_mounted_later_stays_out_of_the_hosts_root(engine: Engine, shared: Path) -> None:
    container = engine.create("c1", shell("exec sleep 1000", user="0:0"))
    container.start()
    subprocess.run([*MOUNT_LATE, shared / "late"], check=True)
    _write_late(container, str(shared))
    assert list((shared / "late").iterdir()) == []


def test_no_mount_made_inside_appears_on_the_host(
    oci: Oci, write_spec: WriteSpec, shared: Path
) -> None:
    """By a container that may mount, in a volume. Where it is `rshared` this is what is wanted."""
    for name, options in (("private", ["rbind"]), ("slave", ["rbind", "rslave"])):
        script = "mount -t tmpfs inside /data/inner && grep -c ' /data/inner ' /proc/self/mountinfo"
        spec = make_spec("/bin/sh", "-c", script)
        spec["process"]["capabilities"] = SYS_ADMIN
        spec["mounts"].append(
            {"destination": "/data", "type": "bind", "source": str(shared), "options": options}
        )
        write_spec(spec)
        assert oci.ok("run", oci.id(name)) == "1\n"
        assert not (shared / "inner").is_mount()
    spec["mounts"][-1]["options"] = ["rbind", "rshared"]
    write_spec(spec)
    assert oci.ok("run", oci.id("shared")) == "1\n"
    assert (shared / "inner").is_mount()


def test_a_mount_that_asks_to_follow_the_host_does(
    oci: Oci, write_spec: WriteSpec, shared: Path
) -> None:
    spec = make_spec("/bin/sleep", "1000")
    for number, word in enumerate(("rslave", "rshared", "rprivate")):
        options = ["rbind", word]
        spec["mounts"].append(
            {"destination": f"/d{number}", "type": "bind", "source": str(shared)}
            | {"options": options}
        )
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    subprocess.run([*MOUNT_LATE, shared / "late"], check=True)
    script = "grep -o ' /d[0-9]/late ' /proc/self/mountinfo"
    seen = oci.ok("exec", oci.id(), "/bin/sh", "-c", script)
    assert sorted(seen.split()) == ["/d0/late", "/d1/late"]
