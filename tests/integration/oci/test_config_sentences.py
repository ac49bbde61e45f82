"""Sentences of config.md and config-linux.md with MUST: what is to be an error, and what is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]


def changed(spec: Spec, path: str, value: Any) -> Spec:
    """Return the spec with the field at the dotted `path` set."""
    *parents, name = path.split(".")
    place = spec
    for parent in parents:
        place = place.setdefault(parent, {})
    place[name] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ociVersion", "1.0", "must be a version"),
        ("ociVersion", "01.0.0", "must be a version"),
        ("ociVersion", "2.0.0", "is not one of"),
        ("process.cwd", "tmp", "process.cwd must be an absolute path"),
        ("process.args", [], "process.args must name a command"),
        ("process.oomScoreAdj", 1001, "process.oomScoreAdj must be -1000 to 1000"),
        (
            "process.rlimits",
            [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2,
            "lists RLIMIT_CORE a second time",
        ),
        (
            "process.rlimits",
            [{"type": "RLIMIT_NONE", "soft": 0, "hard": 0}],
            "is no limit that can be set",
        ),
        ("hooks", {"prestart": [{"path": "bin/true"}]}, "must be an absolute path"),
        ("hooks", {"poststop": [{"path": "/bin/true", "timeout": 0}]}, "must be more than 0"),
        ("annotations", {"": "value"}, "must not have an empty name"),
        ("linux.maskedPaths", ["tmp"], "linux.maskedPaths[0] must be an absolute path"),
        ("linux.readonlyPaths", ["/tmp", "etc"], "linux.readonlyPaths[1] must be an absolute"),
        ("linux.rootfsPropagation", "public", "is no propagation of mounts"),
        ("linux.personality", {"domain": "BSD"}, "is no execution domain"),
        ("linux.devices", [{"path": "/dev/x", "type": "c"}], "linux.devices[0].major is required"),
        (
            "linux.devices",
            [{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}],
            "file exists",
        ),
        ("linux.resources.memory", {"swappiness": 101}, "must be 0 to 100"),
        ("linux.resources.rdma", {"mlx": {}}, "needs hcaHandles or hcaObjects"),
        ("linux.cgroupsPath", "../outside", "must not contain '..'"),
        ("linux.namespaces", [{"type": "mount"}, {"type": "mount"}], "a second time"),
        ("linux.namespaces", [{"type": "mount", "path": "ns"}], "must be an absolute path"),
        ("linux.namespaces", [{"type": "mount"}, {"type": "city"}], "must be one of"),
    ],
)
def test_what_the_specification_calls_an_error_is_one_and_leaves_nothing(
    oci: Oci, write_spec: WriteSpec, path: str, value: Any, said: str
) -> None:
    spec = make_spec("true")
    if path == "linux.namespaces":
        del spec["hostname"]
    write_spec(changed(spec, path, value))
    done = oci.run("run", oci.id())
    assert done.returncode == 1
    assert said in done.stderr
    assert oci.run("state", oci.id()).returncode == 1


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("cgroup", "ipc"),
        ("ipc", "mnt"),
        ("mount", "net"),
        ("network", "pid"),
        ("pid", "user"),
        ("time", "uts"),
        ("user", "uts"),
        ("uts", "cgroup"),
    ],
)
def test_a_path_that_is_not_a_namespace_of_its_type_is_an_error(
    oci: Oci, write_spec: WriteSpec, kind: str, other: str
) -> None:
    spec = make_spec("true")
    del spec["hostname"]
    others = [one for one in spec["linux"]["namespaces"] if one["type"] != kind]
    spec["linux"]["namespaces"] = [*others, {"type": kind, "path": f"/proc/self/ns/{other}"}]
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.returncode == 1
    assert "invalid argument" in done.stderr


def test_unknown_properties_annotations_and_other_platforms_are_no_error(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = make_spec("true") | {
        "unknown": {"a": 1},
        "annotations": {"org.example.unknown": ""},
        "windows": {"layerFolders": ["x"]},
        "zos": {"namespaces": []},
        "vm": {"kernel": {"path": "/vmlinuz"}},
    }
    spec["process"]["unknown"] = spec["linux"]["unknown"] = True
    write_spec(spec)
    assert oci.ok("run", oci.id()) == ""


def test_a_capability_that_cannot_be_granted_is_logged_as_a_warning(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = make_spec("true")
    spec["process"]["capabilities"] = {"bounding": ["CAP_SMILE"]}
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.returncode == 0
    assert "level=warning" in done.stderr
    assert "CAP_SMILE" in done.stderr


def test_limits_that_no_kernel_has_any_more_are_logged_and_ignored(
    oci: Oci, write_spec: WriteSpec
) -> None:
    memory = {"kernel": 2**27, "kernelTCP": -1, "useHierarchy": True}
    write_spec(changed(make_spec("true"), "linux.resources.memory", memory))
    done = oci.run("run", oci.id())
    assert done.returncode == 0
    assert "linux.resources.memory.kernel is ignored" in done.stderr


def test_a_process_that_is_not_set_is_an_error_at_start_and_not_before(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = make_spec()
    del spec["process"]
    write_spec(spec)
    oci.start_in_background("create", oci.id())
    assert oci.state(oci.id())["status"] == "created"
    done = oci.run("start", oci.id())
    assert done.returncode == 1
    assert "has no process to run" in done.stderr
    oci.await_status(oci.id(), "stopped")
    oci.ok("delete", oci.id())
    assert "process is required" in oci.run("run", oci.id()).stderr


def test_changes_of_config_json_after_create_have_no_effect(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    write_spec(make_spec("touch", "/srv/first"))
    oci.start_in_background("create", oci.id())
    write_spec(make_spec("touch", "/srv/second"))
    oci.ok("start", oci.id())
    oci.await_status(oci.id(), "stopped")
    assert os.listdir(rootfs / "srv") == ["first"]


@pytest.mark.parametrize("given", [[], ["HOME="], ["HOME=/other", "HOME="]])
def test_a_home_that_is_missing_or_empty_is_that_of_the_passwd_file(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, given: list[str]
) -> None:
    (rootfs / "etc/passwd").write_text("user:x:2000:2000::/home/user:/bin/sh\n")
    spec = make_spec("env")
    spec["process"]["user"] = {"uid": 2000, "gid": 2000}
    spec["process"]["env"] += given
    write_spec(spec)
    assert oci.ok("run", oci.id()).splitlines().count("HOME=/home/user") == 1


def test_a_working_directory_is_made_and_entered_before_the_user_is_another(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    (rootfs / "closed").mkdir(mode=0o700)
    spec = make_spec("pwd")
    spec["process"]["user"] = {"uid": 1000, "gid": 1000}
    for directory in ("/closed", "/made/for/it"):
        spec["process"]["cwd"] = directory
        write_spec(spec)
        assert oci.ok("run", oci.id()).strip() == directory


def test_a_kernel_parameter_may_be_named_with_slashes(oci: Oci, write_spec: WriteSpec) -> None:
    spec = make_spec("cat", "/proc/sys/net/core/somaxconn")
    write_spec(changed(spec, "linux.sysctl", {"net/core/somaxconn": "300"}))
    assert oci.ok("run", oci.id()).strip() == "300"


@pytest.mark.parametrize(
    ("mode", "options", "shown"),
    [
        (0o710, [], "710"),
        (0o7777, ["ro"], "7777"),
        (0o710, ["mode=0700"], "700"),
        (None, [], "1777"),
    ],
)
def test_a_tmpfs_without_a_mode_takes_that_of_the_directory(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, mode: int | None, options: list[str], shown: str
) -> None:
    if mode is not None:
        (rootfs / "place").mkdir()
        (rootfs / "place").chmod(mode)
    spec = make_spec("stat", "-c", "%a", "/place")
    spec["mounts"].append(
        {"destination": "/place", "type": "tmpfs", "source": "tmpfs", "options": options}
    )
    write_spec(spec)
    assert oci.ok("run", oci.id()).strip() == shown


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({}, "default"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        (
            {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "bind=static:0",
        ),
    ],
)
def test_memory_is_taken_from_the_nodes_that_the_policy_says(
    oci: Oci, write_spec: WriteSpec, policy: Any, shown: str
) -> None:
    if not os.path.exists("/proc/self/numa_maps"):
        pytest.skip("this kernel has no NUMA")
    spec = make_spec("sh", "-c", "head -n 1 /proc/self/numa_maps")
    write_spec(changed(spec, "linux.memoryPolicy", policy))
    assert oci.ok("run", oci.id()).split()[1] == shown


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"nodes": "0"}, "invalid memory policy mode"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["X"]}, "invalid memory policy flag"),
        ({"mode": "MPOL_BIND", "nodes": "0-99999999"}, "invalid memory policy node"),
    ],
)
def test_a_memory_policy_that_is_none_is_an_error(
    oci: Oci, write_spec: WriteSpec, policy: Any, said: str
) -> None:
    write_spec(changed(make_spec("true"), "linux.memoryPolicy", policy))
    done = oci.run("run", oci.id())
    assert done.returncode == 1
    assert said in done.stderr


def test_the_cpu_affinity_of_exec_is_not_the_inits(oci: Oci, write_spec: WriteSpec) -> None:
    cpus = os.sched_getaffinity(0)
    one = str(max(cpus))
    spec = make_spec("sleep", "1000")
    write_spec(changed(spec, "process.execCPUAffinity", {"initial": one, "final": one}))
    oci.start_in_background("run", "-d", oci.id())
    assert os.sched_getaffinity(oci.state(oci.id())["pid"]) == cpus
    shown = oci.ok("exec", oci.id(), "grep", "Cpus_allowed_list", "/proc/self/status")
    assert shown.split()[1] == one


def test_a_read_only_dev_has_its_console(oci: Oci, write_spec: WriteSpec) -> None:
    spec = make_spec("sh", "-c", "tty; stat -c %F /dev/console; touch /dev/x || echo refused")
    spec["process"]["terminal"] = True
    dev = next(one for one in spec["mounts"] if one["destination"] == "/dev")
    dev["options"] = [*dev["options"], "ro"]
    write_spec(spec)
    said = oci.ok("run", oci.id()).replace("\r", "")
    assert said.splitlines()[:2] == ["/dev/pts/0", "character special file"]
    assert said.endswith("refused\n")


def test_without_a_pivot_no_new_user_namespace_sees_what_is_masked(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """The kernel lets one mount /proc when its own mount namespace has another in full."""
    spec = make_spec("unshare", "-Urmpf", "sh", "-c", "mount -t proc none /mnt && ls /mnt")
    spec["process"]["capabilities"] = {
        kind: ["CAP_SETFCAP"] for kind in ("bounding", "effective", "permitted")
    }
    spec["linux"]["maskedPaths"] = ["/proc/meminfo"]
    (rootfs / "mnt").mkdir(exist_ok=True)
    write_spec(spec)
    for words in ([], ["--no-pivot"]):
        done = oci.run("run", *words, oci.id())
        assert done.returncode != 0, done.stdout
        assert "permission denied" in done.stderr.lower()
