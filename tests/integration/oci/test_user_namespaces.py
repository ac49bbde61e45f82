"""User namespaces under the OCI command line: own ones, joined ones, with and without a root."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]
_UID, _GID = 100000, 200000
_FILES = {"network": "net", "mount": "mnt"}


@pytest.fixture(autouse=True)
def reachable(tmp_path: Path, rootfs: Path) -> None:
    """Give the root file system to the mapped root, and let it in."""
    for directory in (tmp_path, *list(tmp_path.parents)[:2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    for top, _, names in os.walk(rootfs):
        for path in (top, *(os.path.join(top, name) for name in names)):
            os.lchown(path, _UID, _GID)


def with_user_namespace(*argv: str, first: int = 0, size: int = 65536) -> Spec:
    """Return a config with a user namespace whose ids begin with `first`."""
    spec = make_spec(*argv)
    spec["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}]
    for name, host in (("uidMappings", _UID), ("gidMappings", _GID)):
        spec["linux"][name] = [{"containerID": first, "hostID": host, "size": size}]
    return spec


def joined(spec: Spec, pid: int, *kinds: str) -> Spec:
    """Return the spec with namespaces of these kinds taken from a process."""
    for one in spec["linux"]["namespaces"]:
        if one["type"] in kinds:
            one["path"] = f"/proc/{pid}/ns/{_FILES.get(one['type'], one['type'])}"
    return spec


@pytest.mark.parametrize(
    "kinds",
    [
        ("user",),
        ("user", "pid"),
        ("user", "network", "ipc"),
        ("user", "pid", "network", "ipc", "uts", "cgroup", "time"),
    ],
)
def test_a_user_namespace_is_joined_and_owns_the_namespaces_that_are_new(
    oci: Oci, write_spec: WriteSpec, kinds: tuple[str, ...]
) -> None:
    write_spec(with_user_namespace("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id("first"))
    pid = oci.state(oci.id("first"))["pid"]
    spec = joined(with_user_namespace("sleep", "1000"), pid, *kinds)
    if "uts" in kinds:
        del spec["hostname"]
    del spec["linux"]["uidMappings"], spec["linux"]["gidMappings"]
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id("second"))
    second = oci.state(oci.id("second"))["pid"]
    for one in spec["linux"]["namespaces"]:
        name = _FILES.get(one["type"], one["type"])
        is_same = os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{second}/ns/{name}")
        assert is_same == (one["type"] in kinds), name
    script = "id -u; stat -c %u /proc/1; touch /made && stat -c %u /made; cat /proc/self/uid_map"
    said = oci.ok("exec", oci.id("second"), "sh", "-c", script).split()
    assert said == ["0", "0", "0", "0", str(_UID), "65536"]


def test_mappings_beside_a_joined_user_namespace_are_taken_for_its_own(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(with_user_namespace("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id("first"))
    pid = oci.state(oci.id("first"))["pid"]
    write_spec(joined(with_user_namespace("cat", "/proc/self/gid_map"), pid, "user"))
    assert oci.ok("run", oci.id("second")).split() == ["0", str(_GID), "65536"]


def test_a_user_namespace_need_not_have_a_root(oci: Oci, write_spec: WriteSpec) -> None:
    script = "id -u; id -g; cat /proc/self/uid_map"
    spec = with_user_namespace("sh", "-c", script, first=1000, size=1)
    spec["process"]["user"] = {"uid": 1000, "gid": 1000}
    write_spec(spec)
    assert oci.ok("run", oci.id()).split() == ["1000", "1000", "1000", str(_UID), "1"]
    spec["process"]["args"] = ["sleep", "1000"]
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    assert oci.ok("exec", oci.id(), "id", "-u").strip() == "1000"


def test_ids_without_a_namespace_for_them_or_of_no_size_are_an_error(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = with_user_namespace("true")
    spec["linux"]["namespaces"] = [
        one for one in spec["linux"]["namespaces"] if one["type"] != "user"
    ]
    write_spec(spec)
    assert "need a user namespace" in oci.run("run", oci.id()).stderr
    write_spec(with_user_namespace("true", size=0))
    assert "must be 1 or more" in oci.run("run", oci.id()).stderr


def test_the_hosts_proc_is_bound_where_its_processes_are_shared(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = with_user_namespace("sh", "-c", "test -e /proc/$$/status && test $$ -gt 1 && echo host")
    spec["linux"]["namespaces"] = [
        one for one in spec["linux"]["namespaces"] if one["type"] != "pid"
    ]
    options = ["rbind", "nosuid", "nodev", "noexec"]
    spec["mounts"][0] |= {"type": "bind", "source": "/proc", "options": options}
    write_spec(spec)
    assert oci.ok("run", oci.id()).strip() == "host"


def test_devices_are_made_for_a_user_namespace(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """Neither the host's node of that name is taken, nor is one left out that the host has not."""
    spec = with_user_namespace(
        "sh", "-c", "stat -c '%n %F %t:%T %a %u:%g' /dev/[fmn]*; cat /dev/mine"
    )
    spec["linux"]["devices"] = [
        {"path": "/dev/foo", "type": "b", "major": 1, "minor": 5, "uid": 10, "gid": 11},
        {"path": "/dev/mem", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3},
    ]
    spec["mounts"] = [one for one in spec["mounts"] if one["destination"] != "/dev/pts"]
    write_spec(spec)
    assert [row for row in oci.ok("run", oci.id()).splitlines() if "/dev/fd" not in row] == [
        "/dev/foo block special file 1:5 666 10:11",
        "/dev/full character special file 1:7 666 65534:65534",
        "/dev/mem character special file 1:3 600 0:0",
        "/dev/mine character special file 1:3 666 0:0",
        "/dev/null character special file 1:3 666 65534:65534",
    ]
    assert oci.ok("list", "--quiet") == ""
