"""A namespace that is not listed is the runtime's, that of mounts among them (config-linux.md)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]
_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def on_the_host(*argv: str) -> Spec:
    """Return a config without a namespace of its own."""
    spec = make_spec(*argv)
    spec["linux"]["namespaces"] = []
    del spec["hostname"]
    return spec


def mounts_below(path: Path) -> list[str]:
    """Return what is mounted below a path in our namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {path}" in line]


def test_a_container_without_namespaces_has_the_runtimes(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    write_spec(on_the_host("sleep", "1000"))
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    for kind in _KINDS:
        assert os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"), kind
    oci.ok("start", oci.id())
    script = "touch /from-exec; ls /; test -c /dev/null && cat /proc/1/comm"
    said = oci.ok("exec", oci.id(), "sh", "-c", script).split()
    assert "from-exec" in said
    assert said[-1] == Path("/proc/1/comm").read_text().strip()
    assert (rootfs / "from-exec").exists()
    oci.ok("kill", oci.id(), "KILL")
    oci.await_status(oci.id(), "stopped")
    oci.ok("delete", oci.id())


def test_deleting_it_leaves_nothing_mounted(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, tmp_path: Path
) -> None:
    before = mounts_below(tmp_path)
    spec = on_the_host("sh", "-c", "cat /secret; touch /made")
    (rootfs / "secret").write_text("secret")
    spec["linux"] |= {"maskedPaths": ["/secret"], "readonlyPaths": ["/proc/sys"]}
    spec["root"]["readonly"] = True
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.stdout == ""
    assert "Read-only file system" in done.stderr
    assert mounts_below(tmp_path) == before
    spec["process"]["args"] = ["no-such-command"]
    write_spec(spec)
    assert oci.run("run", oci.id()).returncode == 1
    assert mounts_below(tmp_path) == before
    assert (rootfs / "secret").read_text() == "secret"


def test_ids_of_its_own_need_mounts_of_its_own(oci: Oci, write_spec: WriteSpec) -> None:
    spec = on_the_host("true")
    spec["linux"]["namespaces"] = [{"type": "user"}]
    for name in ("uidMappings", "gidMappings"):
        spec["linux"][name] = [{"containerID": 0, "hostID": 100000, "size": 10}]
    write_spec(spec)
    assert "a mount namespace of its own" in oci.run("run", oci.id()).stderr
