"""config.json to Config: what each field becomes, and what is refused by name."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import Config
from reconciler.oci.bundle import load_bundle
from reconciler.oci.translate import translate_bundle

_SPEC: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {"args": ["true"], "cwd": "/"},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
}


def _set(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = deepcopy(spec)
    at = changed
    *above, last = path.split(".")
    for name in above:
        at = at.setdefault(name, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return changed


def _translate(tmp_path: Path, spec: dict[str, Any], *, has_cgroups: bool = True) -> Config:
    (tmp_path / "config.json").write_text(json.dumps(spec))
    return translate_bundle(load_bundle(str(tmp_path)), has_cgroups=has_cgroups)


def test_a_namespace_that_is_not_listed_is_the_callers(tmp_path: Path) -> None:
    spaces = _translate(tmp_path, _SPEC).isolation.namespaces
    assert (spaces.mount, spaces.pid, spaces.network, spaces.uts) == (
        *("private", "private", "host", "host"),
    )


def test_a_namespace_with_a_path_is_joined(tmp_path: Path) -> None:
    listed = [{"type": "mount"}, {"type": "network", "path": "/proc/1/ns/net"}]
    config = _translate(tmp_path, _set(_SPEC, "linux.namespaces", listed))
    assert config.isolation.namespaces.network == "/proc/1/ns/net"


def test_paths_are_relative_to_the_bundle(tmp_path: Path) -> None:
    spec = deepcopy(_SPEC)
    spec["mounts"] = [
        {"destination": "/a", "type": "bind", "source": "html", "options": ["ro"]},
        {"destination": "/b", "type": "tmpfs", "source": "tmpfs"},
    ]
    config = _translate(tmp_path, spec)
    assert config.rootfs.path == str(tmp_path / "rootfs")
    mounts = config.isolation.mounts
    assert mounts is not None
    assert [mount.source for mount in mounts] == [str(tmp_path / "html"), "tmpfs"]


def test_an_idmap_with_ids_is_mappings_of_the_mount(tmp_path: Path) -> None:
    spec = deepcopy(_SPEC)
    words = ["rbind", "idmap=uids=0-1000-10#10-5-1;gids=0-2000-10"]
    spec["mounts"] = [{"destination": "/a", "source": "html", "options": words}]
    (mount,) = _translate(tmp_path, spec).isolation.mounts or ()
    assert mount.options == ("rbind", "idmap")
    rows = [(one.container_id, one.host_id, one.size) for one in mount.uid_mappings]
    assert rows == [(0, 1000, 10), (10, 5, 1)]
    assert [one.host_id for one in mount.gid_mappings] == [2000]


@pytest.mark.parametrize("word", ["idmap=x", "ridmap=uids=0-1-2", "idmap=uids=@0-1-2;gids=0-1-2"])
def test_an_idmap_that_cannot_be_read_is_refused(tmp_path: Path, word: str) -> None:
    spec = deepcopy(_SPEC)
    spec["mounts"] = [{"destination": "/a", "source": "html", "options": ["bind", word]}]
    with pytest.raises(ReconcilerError, match="idmap"):
        _translate(tmp_path, spec)


def test_unknown_fields_are_ignored(tmp_path: Path) -> None:
    plain = _translate(tmp_path, _SPEC)
    more = _set(_set(_SPEC, "nosuchfield", {"a": 1}), "linux.nosuchfield", [1])
    assert _translate(tmp_path, more) == plain


def test_without_capabilities_there_are_none(tmp_path: Path) -> None:
    capabilities = _translate(tmp_path, _SPEC).isolation.capabilities
    assert capabilities is not None
    assert capabilities.bounding == capabilities.effective == ()


def test_limits_are_translated(tmp_path: Path) -> None:
    resources = {
        "memory": {"limit": 1 << 26, "swap": 3 << 25},
        "cpu": {"shares": 1024, "cpus": "0"},
        "pids": {"limit": 7},
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]},
    }
    limits = _translate(tmp_path, _set(_SPEC, "linux.resources", resources)).resources
    assert (limits.memory.max_bytes, limits.memory.swap_bytes) == (1 << 26, 1 << 25)
    assert (limits.pids.max, limits.cpu.cpus) == (7, "0")
    assert limits.io.max[0].read_bytes == 1000


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("ociVersion", None, "ociVersion is required"),
        ("ociVersion", "one", "ociVersion must be a version"),
        ("ociVersion", "2.0.0", "ociVersion: version 2.0.0"),
        ("process", None, "process is required"),
        ("process.args", [], "process.args must name a command"),
        ("process.cwd", "relative", "process.cwd must be an absolute path"),
        ("process.cwd", None, "process.cwd is required"),
        ("process.env", ["=x"], "process.env[0] must be NAME=VALUE"),
        ("process.env", "A=b", "process.env must be a list"),
        (
            *("process.rlimits", [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type is no limit",
        ),
        ("process.oomScoreAdj", 2000, "process.oomScoreAdj must be -1000 to 1000"),
        ("process.user", {"uid": "root"}, "process.user.uid must be a number"),
        ("root", None, "root is required"),
        ("root.path", None, "root.path is required"),
        ("hostname", "name", "hostname needs a uts namespace"),
        ("annotations", {"": "x"}, "annotations must not have an empty name"),
        ("annotations", {"a": 1}, "annotations.a must be a text"),
        ("hooks", {"prestart": [{"path": "x"}]}, "hooks.prestart[0].path must be an absolute"),
        ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "timeout must be more than 0"),
        ("linux.namespaces", [{"type": "mount"}] * 2, "lists the namespace mount a second time"),
        ("linux.namespaces", [{"type": "moon"}], "must be one of"),
        ("linux.intelRdt", {"closID": "x"}, "linux.intelRdt"),
        ("linux.devices", [{"path": "/dev/x", "type": "z"}], "must be c, b, u or p"),
        ("linux.devices", [{"path": "/dev/x", "type": "c"}], "linux.devices[0].major is required"),
        ("linux.resources", {"memory": {"swap": 1}}, "needs memory.limit"),
        ("linux.resources", {"cpu": {"quota": 999}}, "quota must be at least 1000 microseconds"),
        ("linux.resources", {"cpu": {"period": 1000001}}, "period must be 1000 to 1000000"),
        ("mounts", [{"type": "tmpfs"}], "mounts[0].destination is required"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, path: str, value: Any, problem: str) -> None:
    with pytest.raises(ReconcilerError) as caught:
        _translate(tmp_path, _set(_SPEC, path, value))
    assert problem in str(caught.value)
    assert caught.value.code in (ErrorCode.ConfigInvalid, ErrorCode.NotSupported)


def test_a_second_rlimit_of_a_kind_is_refused(tmp_path: Path) -> None:
    one = {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}
    with pytest.raises(ReconcilerError, match="a second time"):
        _translate(tmp_path, _set(_SPEC, "process.rlimits", [one, one]))


def test_limits_without_cgroups_are_refused(tmp_path: Path) -> None:
    spec = _set(_SPEC, "linux.resources", {"pids": {"limit": 5}})
    with pytest.raises(ReconcilerError, match="need a cgroup"):
        _translate(tmp_path, spec, has_cgroups=False)


def test_a_config_that_is_not_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ReconcilerError, match="not JSON"):
        load_bundle(str(tmp_path))
    with pytest.raises(ReconcilerError, match="no such file"):
        load_bundle(str(tmp_path / "nowhere"))


def test_limits_of_every_controller_have_their_fields(tmp_path: Path) -> None:
    resources = {
        "memory": {"reservation": 4096, "swappiness": 0, "disableOOMKiller": True, "limit": -1},
        "cpu": {"quota": 50_000, "period": 200_000, "burst": 10, "shares": 512, "idle": 1},
        "blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
        "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 5}]},
        "unified": {"memory.high": "1000"},
    }
    limits = _translate(tmp_path, _set(_SPEC, "linux.resources", resources)).resources
    memory, cpu = limits.memory, limits.cpu
    assert (memory.max_bytes, memory.reservation_bytes) == (None, 4096)
    assert (memory.swappiness, memory.disable_oom_killer) == (0, True)
    assert (cpu.quota_us, cpu.period_us, cpu.burst_ns) == (50_000, 200_000, 10_000)
    assert (cpu.shares, cpu.idle) == (512, True)
    assert (limits.io.blkio_weight, limits.io.blkio_weights[0].device) == (500, "8:0")
    assert limits.hugetlb[0].page_size_bytes == 2 << 20
    assert limits.rdma[0].hca_handles == 3
    assert limits.net.priorities == (("eth0", 5),)
    assert limits.unified == (("memory.high", "1000"),)


def test_a_file_that_is_nested_too_deeply_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(ReconcilerError, match="nested too deeply") as caught:
        load_bundle(str(tmp_path))
    assert caught.value.code is ErrorCode.ConfigInvalid


def test_a_message_is_one_short_line_whatever_a_field_has(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError) as caught:
        _translate(tmp_path, _set(_SPEC, "ociVersion", "\x1b[31m\n" * 1000))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2500
