"""Containers whose mounts, devices, capabilities and kernel parameters are listed one by one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import Config
from reconciler.model.isolation import (
    Capabilities,
    Device,
    IoPriority,
    MountSpec,
    Namespaces,
    Scheduler,
)
from tests.integration.conftest import run
from tests.integration.listed import KERNEL_FS, OPEN, listed, mount_rows

pytestmark = pytest.mark.requires_root


def test_only_the_listed_mounts_are_there_each_with_its_options(
    engine: Engine, rootfs: Path
) -> None:
    _, rows = run(engine, listed(rootfs, "cat /proc/self/mountinfo", readonly=True))
    mounts = mount_rows(rows)
    assert set(mounts) == {"/", "/proc", "/dev", "/dev/pts", "/sys"}
    assert mounts["/"][0] >= {"ro"}
    assert mounts["/dev"] == ({"rw", "nosuid"}, "tmpfs")
    assert mounts["/sys"][0] >= {"ro", "nosuid", "noexec"}


def test_a_recursive_flag_reaches_all_mounts_below_a_bind_mount(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        top = MountSpec(destination="/top", type="bind", source=str(outer), options=("rbind", "ro"))
        both = MountSpec(
            destination="/all", type="bind", source=str(outer), options=("rbind", "rro")
        )
        script = "for d in /top /top/inner /all /all/inner; do touch $d/x && echo wrote $d; done"
        _, rows = run(engine, listed(rootfs, script, top, both))
    finally:
        subprocess.run(["umount", inner], check=True)
    assert rows == ["wrote /top/inner"]


def test_a_tmpfs_takes_over_what_the_directory_held(engine: Engine, rootfs: Path) -> None:
    kept = rootfs / "etc/kept"
    (kept / "deep").mkdir(parents=True)
    (kept / "deep/file").write_text("content\n")
    (kept / "deep/file").chmod(0o604)
    os.chown(kept / "deep/file", 1500, 1600)
    (kept / "link").symlink_to("deep/file")
    over = MountSpec(
        destination="/etc/kept", type="tmpfs", source="tmpfs", options=("tmpcopyup", "ro")
    )
    script = (
        "cat /etc/kept/link; stat -c '%a %u %g' /etc/kept/deep/file; touch /etc/kept/x; echo $?"
    )
    _, rows = run(engine, listed(rootfs, script, over))
    assert rows == ["content", "604 1500 1600", "1"]


@pytest.mark.parametrize("place", ["/proc", "/proc/self/attr", "/proc/sys/kernel"])
def test_nothing_else_can_be_mounted_over_proc(engine: Engine, rootfs: Path, place: str) -> None:
    bad = MountSpec(destination=place, type="tmpfs", source="tmpfs")
    container = engine.create("c1", listed(rootfs, "true", bad))
    with pytest.raises(ReconcilerError) as caught:
        container.start()
    assert caught.value.code is ErrorCode.ConfigInvalid


def test_proc_is_not_mounted_through_a_symbolic_link(engine: Engine, rootfs: Path) -> None:
    (rootfs / "proc").rmdir()
    (rootfs / "elsewhere").mkdir()
    (rootfs / "proc").symlink_to("elsewhere")
    container = engine.create("c1", listed(rootfs, "true"))
    with pytest.raises(ReconcilerError, match="symbolic link") as caught:
        container.start()
    assert caught.value.code is ErrorCode.StepFailed


def test_a_destination_that_leads_outside_stays_inside(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "escape").symlink_to(f"../../../../..{outside}")
    place = MountSpec(destination="/escape/here", type="tmpfs", source="tmpfs")
    _, rows = run(engine, listed(rootfs, "grep -c escape /proc/self/mountinfo; ls /escape/", place))
    assert list(outside.iterdir()) == []
    assert rows[-1] == "here"


def test_kernel_parameters_names_and_clocks_are_the_containers_own(
    engine: Engine, rootfs: Path
) -> None:
    script = (
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname;"
        "cut -d. -f1 /proc/uptime; umask"
    )
    before = Path("/proc/sys/kernel/msgmax").read_text()
    config = listed(
        rootfs,
        script,
        sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"},
        domainname="example",
        umask=0o027,
        namespaces=Namespaces(time="private"),
        time_offsets={"boottime": (100_000_000, 0)},
    )
    _, rows = run(engine, config)
    assert rows[:3] == ["1", "9000", "example"]
    assert int(rows[3]) > 100_000_000
    assert rows[4] == "0027"
    assert Path("/proc/sys/kernel/msgmax").read_text() == before


@pytest.mark.parametrize(
    "name", ["kernel.panic", "vm.swappiness", "net/../kernel/panic", "net.../../kernel.panic"]
)
def test_a_kernel_parameter_of_the_whole_host_is_refused(
    engine: Engine, rootfs: Path, name: str
) -> None:
    container = engine.create("c1", listed(rootfs, "true", sysctl={name: "1"}))
    with pytest.raises(ReconcilerError, match="whole host") as caught:
        container.start()
    assert caught.value.code is ErrorCode.ConfigInvalid


def test_a_network_parameter_is_refused_with_the_hosts_network(
    engine: Engine, rootfs: Path
) -> None:
    config = listed(
        rootfs, "true", sysctl={"net.ipv4.ip_forward": "1"}, namespaces=Namespaces(network="host")
    )
    with pytest.raises(ReconcilerError, match="network namespace"):
        engine.create("c1", config).start()


def test_the_five_capability_sets_are_as_given(engine: Engine, rootfs: Path) -> None:
    sets = Capabilities(
        bounding=("KILL", "CHOWN", "SETUID"),
        permitted=("KILL", "CHOWN"),
        effective=("KILL",),
        inheritable=("CHOWN",),
        ambient=("CHOWN",),
    )
    config = listed(rootfs, "grep Cap /proc/self/status", capabilities=sets)
    config = Config(
        command=config.command,
        rootfs=config.rootfs,
        user="1500:1600",
        security=OPEN,
        isolation=config.isolation,
    )
    _, rows = run(engine, config)
    masks = {row.split(":")[0]: int(row.split()[1], 16) for row in rows}
    assert masks["CapBnd"] == 1 << 5 | 1 << 0 | 1 << 7
    # execve(2) leaves a user other than root what is ambient
    assert masks["CapAmb"] == masks["CapInh"] == masks["CapPrm"] == masks["CapEff"] == 1 << 0


def test_scheduling_and_io_priority_are_set(engine: Engine, rootfs: Path) -> None:
    config = listed(
        rootfs,
        "cut -d' ' -f19,41 /proc/self/stat",
        scheduler=Scheduler(policy="SCHED_BATCH", nice=3),
        io_priority=IoPriority(io_class="IOPRIO_CLASS_IDLE", priority=0),
    )
    _, rows = run(engine, config)
    assert rows[0] == "3 3"  # nice, SCHED_BATCH


def test_devices_are_made_with_their_owner_and_mode(engine: Engine, rootfs: Path) -> None:
    fuse = Device(path="/dev/sub/my", type="c", major=1, minor=5, mode=0o640, uid=1500, gid=1600)
    pipe = Device(path="/dev/pipe", type="p", mode=0o600)
    config = listed(
        rootfs,
        "stat -c '%F %t:%T %a %u %g' /dev/sub/my; stat -c '%F %a' /dev/pipe; ls /dev",
        devices=(fuse, pipe),
    )
    _, rows = run(engine, config)
    assert rows[0] == "character special file 1:5 640 1500 1600"
    assert rows[1] == "fifo 600"
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd"} <= set(rows[2:])


def test_masked_and_read_only_paths_are_those_that_are_given(engine: Engine, rootfs: Path) -> None:
    config = listed(
        rootfs,
        "wc -c < /proc/cpuinfo; ls /sys/kernel | wc -l; echo x > /proc/sys/kernel/domainname",
        masked_paths=("/proc/cpuinfo", "/sys/kernel", "/no/such/path"),
        readonly_paths=("/proc/sys", "/no/such/path"),
    )
    container, rows = run(engine, config)
    assert rows == ["0", "0"]
    last = container.wait(0)
    assert last is not None
    assert last.code == 1


def test_a_masked_path_is_not_covered_by_a_swapped_null_device(
    engine: Engine, rootfs: Path
) -> None:
    """CVE-2025-31133: the root file system brings a /dev/null of its own."""
    (rootfs / "dev/null").write_text("not a device")
    mounts = tuple(one for one in KERNEL_FS if one.destination in ("/proc", "/sys"))
    config = listed(rootfs, "true", mounts=mounts, masked_paths=("/proc/cpuinfo",))
    with pytest.raises(ReconcilerError) as caught:
        engine.create("c1", config).start()
    assert caught.value.code is ErrorCode.StepFailed


def test_namespaces_of_another_container_are_joined_by_path(engine: Engine, rootfs: Path) -> None:
    first = engine.create("first", listed(rootfs, "sleep 60"))
    pid = first.start().pid
    joined = {
        "pid": f"/proc/{pid}/ns/pid",
        "ipc": f"/proc/{pid}/ns/ipc",
        "uts": f"/proc/{pid}/ns/uts",
        "network": f"/proc/{pid}/ns/net",
        "cgroup": f"/proc/{pid}/ns/cgroup",
    }
    kinds = "pid ipc uts net cgroup"
    script = f"for n in {kinds}; do readlink /proc/self/ns/$n; done; hostname; cat /proc/1/comm"
    config = listed(rootfs, script, namespaces=Namespaces(**joined))
    _, rows = run(engine, config, "second")
    assert rows[:5] == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds.split()]
    assert rows[5:] == ["first", "sleep"]
    host = os.readlink("/proc/self/ns/pid")
    assert rows[0] != host


def test_host_namespaces_are_shared_where_that_is_asked_for(engine: Engine, rootfs: Path) -> None:
    kinds = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net", "cgroup": "cgroup"}
    mounts = tuple(one for one in KERNEL_FS if one.destination != "/sys")
    script = f"for n in {' '.join(kinds.values())}; do readlink /proc/self/ns/$n; done"
    config = listed(
        rootfs, script, mounts=mounts, namespaces=Namespaces(**dict.fromkeys(kinds, "host"))
    )
    _, rows = run(engine, config)
    assert rows == [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds.values()]


def test_what_this_host_has_no_module_for_is_refused(engine: Engine, rootfs: Path) -> None:
    if os.path.isdir("/sys/kernel/security/apparmor"):
        pytest.skip("this host has AppArmor")
    config = listed(rootfs, "true", apparmor_profile="container-default")
    with pytest.raises(ReconcilerError, match="no AppArmor") as caught:
        engine.create("c1", config).start()
    assert caught.value.code is ErrorCode.NotSupported


def lasting_mounts() -> list[str]:
    """Return the host's mounts but for those of tests that run meanwhile."""
    top = f"{tempfile.gettempdir()}/"
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    return [row for row in rows if not row.split()[4].startswith(top)]


@pytest.mark.parametrize("word", ["private", "slave", "rslave", "unbindable", "rshared"])
def test_the_root_has_the_propagation_that_is_asked_for(
    engine: Engine, rootfs: Path, word: str
) -> None:
    before = lasting_mounts()
    _, rows = run(engine, listed(rootfs, "cat /proc/self/mountinfo", rootfs_propagation=word))
    [optional] = [row.split(" - ")[0].split()[6:] for row in rows if row.split()[4] == "/"]
    kinds = {one.split(":")[0] for one in optional}
    assert kinds == {"private": set(), "unbindable": {"unbindable"}, "rshared": {"shared"}}.get(
        word, {"master"} if "master" in kinds else set()
    )
    assert lasting_mounts() == before
