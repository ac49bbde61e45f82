"""What a container is in and sees of cgroups and mounts, on v1 and hybrid hosts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cgroup.detect import Mode, detect
from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]

_SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
_CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}


@pytest.fixture
def hierarchies() -> dict[str, str]:
    """Give the mount points of v1's hierarchies that root may write to, by controller or name."""
    found = detect()
    if found.mode is Mode.V2:
        pytest.skip("this host has no v1 hierarchies")
    every = found.v1 | found.named
    return {name: one.own for name, one in every.items() if one.own and os.access(one.own, os.W_OK)}


def test_it_is_in_every_hierarchy_of_v1_and_sees_its_own_cgroup(
    oci: Oci, write_spec: WriteSpec, hierarchies: dict[str, str]
) -> None:
    spec = make_spec("sh", "-c", "echo /sys/fs/cgroup/*; cat /sys/fs/cgroup/devices/cgroup.procs")
    spec["mounts"] += [_SYS, _CGROUP]
    write_spec(spec)
    shown, *pids = oci.ok("run", oci.id()).split("\n")
    inside = {Path(path).name for path in shown.split()}
    assert inside >= {name.removeprefix("name=") for name in hierarchies}
    assert pids[0] == "1"


def test_rules_for_devices_stand_in_the_devices_hierarchy_until_it_is_gone(
    oci: Oci, write_spec: WriteSpec, hierarchies: dict[str, str]
) -> None:
    if "devices" not in hierarchies:
        pytest.skip("this host has no devices hierarchy")
    spec = make_spec("sleep", "1000")
    allowed = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    spec["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}, allowed]}
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    directory = Path(hierarchies["devices"], oci.id())
    lines = (directory / "devices.list").read_text().splitlines()
    assert "c 10:229 rw" in lines
    assert "a *:* rwm" not in lines
    assert str(oci.state(oci.id())["pid"]) in (directory / "cgroup.procs").read_text().split()
    oci.ok("delete", "--force", oci.id())
    assert not [name for name, base in hierarchies.items() if Path(base, oci.id()).exists()]


def test_the_root_stands_before_what_is_bound_into_it(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    spec = make_spec("cat", "/proc/self/mountinfo")
    spec["mounts"].append({"destination": "/srv", "source": str(tmp_path), "options": ["rbind"]})
    write_spec(spec)
    targets = [line.split()[4] for line in oci.ok("run", oci.id()).splitlines()]
    assert targets[0] == "/"
    assert "/srv" in targets
