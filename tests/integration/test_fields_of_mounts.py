"""Mounts of a spec with the options of mount(8), as the container's own mountinfo shows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.spec_files import Reconciler

pytestmark = pytest.mark.requires_root


def mounts_of(pid: int) -> dict[str, tuple[set[str], list[str], str, set[str]]]:
    """Return by mount point: flags, propagation, type, options of the file system; the topmost."""
    found = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        words = line.split()
        dash = words.index("-")
        flags, options = set(words[5].split(",")), set(words[dash + 3].split(","))
        found[words[4]] = (flags, words[6:dash], words[dash + 1], options)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Give a directory with a mount in it, shared as systemd makes them."""
    directory = tmp_path / "tree"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tree", directory], check=True)
    subprocess.run(["mount", "--make-shared", directory], check=True)
    (directory / "inner").mkdir()
    (directory / "late").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", directory / "inner"], check=True)
    yield directory
    subprocess.run(["umount", "-R", directory], check=True)


def test_flags_are_set_of_the_mount_and_of_all_below_it(reconciler: Reconciler, tree: Path) -> None:
    pid = reconciler.applied(
        "mounts:\n"
        f"  - {{type: bind, source: {tree}, target: /run/all,\n"
        "      options: [ro, noexec, nosymfollow]}\n"
        f"  - {{type: bind, source: {tree}, target: /run/top, options: [bind, ro, noatime]}}\n"
        f"  - {{type: bind, source: {tree}, target: /run/dev, options: [dev, suid]}}\n"
        "  - {type: tmpfs, target: /run/tmp, options: [strictatime, nodiratime, uid=7, size=1m]}\n"
    )
    found = mounts_of(pid)
    for target in ("/run/all", "/run/all/inner"):
        assert {"ro", "noexec", "nosymfollow", "nosuid", "nodev"} <= found[target][0]
    assert {"ro", "noatime"} <= found["/run/top"][0]
    assert "/run/top/inner" not in found
    assert not {"nodev", "nosuid"} & found["/run/dev/inner"][0]
    assert "nodiratime" in found["/run/tmp"][0]
    assert "relatime" not in found["/run/tmp"][0]
    assert {"size=1024k", "uid=7"} <= found["/run/tmp"][3]


def test_what_is_mounted_later_crosses_as_the_propagation_says(
    reconciler: Reconciler, tree: Path
) -> None:
    pid = reconciler.applied(
        "mounts:\n"
        + "".join(
            f"  - {{type: bind, source: {tree}, target: /run/{word}, options: [{word}]}}\n"
            for word in ("rslave", "rshared", "rprivate")
        )
        + f"  - {{type: bind, source: {tree}, target: /run/default}}\n"
    )
    subprocess.run(["mount", "-t", "tmpfs", "late", tree / "late"], check=True)
    found = mounts_of(pid)
    assert "/run/rslave/late" in found
    assert "/run/rshared/late" in found
    assert not {"/run/rprivate/late", "/run/default/late"} & set(found)
    assert any(word.startswith("shared:") for word in found["/run/rshared"][1])
    assert any(word.startswith("master:") for word in found["/run/rslave"][1])
    assert found["/run/default"][1] == []


@pytest.mark.parametrize("word", ["rslave", "rprivate", "runbindable"])
def test_the_propagation_of_its_root_is_as_given(reconciler: Reconciler, word: str) -> None:
    pid = reconciler.applied(f"rootfs: {{propagation: {word}}}\n")
    shown = mounts_of(pid)["/"][1]
    assert ("unbindable" in shown) == (word == "runbindable")
    assert reconciler.inside("cat", "/proc/1/comm") == "sleep"
    assert mounts_of(pid)["/sys"][2] == "sysfs"


def test_an_overlay_shows_its_layers_and_writes_to_the_upper_one(reconciler: Reconciler) -> None:
    for name in ("one,1:x", "two", "up", "work"):
        (reconciler.source / "layers" / name).mkdir(parents=True)
    layers = reconciler.source / "layers"
    (layers / "one,1:x" / "a").write_text("upper one\n")
    for name in ("a", "b"):
        (layers / "two" / name).write_text("lower one\n")
    reconciler.applied(
        "user: '0:0'\nsecurity: {capabilities: [DAC_OVERRIDE]}\nmounts:\n"
        "  - {type: overlay, target: /run/over, lower: ['layers/one,1:x', layers/two],\n"
        "     upper: layers/up, work: layers/work}\n"
    )
    assert reconciler.inside("cat", "/run/over/a", "/run/over/b") == "upper one\nlower one"
    reconciler.inside("sh", "-c", "echo changed > /run/over/b")
    assert (layers / "up" / "b").read_text() == "changed\n"
    assert (layers / "two" / "b").read_text() == "lower one\n"


def test_file_systems_of_the_kernel_replace_those_that_every_container_has(
    reconciler: Reconciler,
) -> None:
    pid = reconciler.applied(
        "mounts:\n"
        "  - {type: proc, target: /proc, options: [hidepid=2]}\n"
        "  - {type: sysfs, target: /sys, options: [noatime]}\n"
        "  - {type: devpts, target: /dev/pts, options: [max=9]}\n"
        "  - {type: mqueue, target: /dev/mqueue, options: [ro]}\n"
        "  - {type: cgroup, target: /run/cgroup}\n"
    )
    found = mounts_of(pid)
    assert found["/proc"][3] & {"hidepid=invisible", "hidepid=2"}
    assert {"ro", "noatime"} <= found["/sys"][0]
    assert "max=9" in found["/dev/pts"][3]
    assert "ro" in found["/dev/mqueue"][0]
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    assert points.count("/proc") == points.count("/sys") == points.count("/dev/pts") == 1
    assert "/proc/timer_list" in points
    assert found["/run/cgroup"][0] >= {"ro", "nosuid", "nodev", "noexec"}
    assert reconciler.inside("sh", "-c", "ls /run/cgroup | head -c1")


def test_a_second_proc_is_refused_as_it_would_hide_nothing(reconciler: Reconciler) -> None:
    told = reconciler.refused("mounts: [{type: proc, target: /run/proc}]\n")
    assert "a mount of type proc belongs on /proc and nowhere else" in told


def test_ids_of_a_mount_appear_as_mapped(reconciler: Reconciler) -> None:
    data = reconciler.source / "data"
    data.mkdir()
    (data / "file").write_text("x")
    os.chown(data / "file", 4242, 4343)
    maps = "[{containerID: 4000, hostID: 1000, size: 1000}]"
    reconciler.applied(
        "mounts:\n"
        "  - {type: bind, source: ./data, target: /run/data, options: [idmap],\n"
        f"     uidMappings: {maps}, gidMappings: {maps}}}\n"
    )
    assert reconciler.inside("stat", "-c", "%u %g", "/run/data/file") == "1242 1343"


def test_what_a_directory_held_is_copied_up(reconciler: Reconciler, rootfs: Path) -> None:
    (rootfs / "seed").mkdir()
    (rootfs / "seed" / "file").write_text("kept\n")
    reconciler.applied(
        f"rootfs: {{path: {rootfs}}}\n"
        "mounts: [{type: tmpfs, target: /seed, options: [tmpcopyup]}]\n"
    )
    assert reconciler.inside("/bin/cat", "/seed/file") == "kept"
    reconciler.inside("/bin/sh", "-c", "echo more > /seed/new")
    assert not (rootfs / "seed" / "new").exists()


def test_a_user_can_reach_what_is_mounted_below_a_directory_that_was_made(
    reconciler: Reconciler,
) -> None:
    reconciler.applied(
        "mounts: [{type: tmpfs, target: /run/made/deep}, {type: tmpfs, target: /tmp/a/b}]\n"
    )
    shown = reconciler.inside("stat", "-c", "%a", "/run/made", "/run/made/deep", "/tmp/a/b")
    assert shown.split() == ["755", "1777", "1777"]


def test_a_root_can_be_entered_without_a_pivot(reconciler: Reconciler, rootfs: Path) -> None:
    pid = reconciler.applied(f"rootfs: {{path: {rootfs}, noPivot: true}}\n")
    assert Path(f"/proc/{pid}/root/bin/busybox").exists()
    assert not Path(f"/proc/{pid}/root{rootfs}").exists()
    assert reconciler.inside("/bin/cat", "/proc/1/comm") == "sleep"
