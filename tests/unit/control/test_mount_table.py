"""Which mount a path is in, by mountinfo; real lines of a container, and with more on top."""

from __future__ import annotations

import pytest

from reconciler.control.mount_table import MountTable
from reconciler.control.weakened import find_weakened
from reconciler.model.config import Config, Mount, MountType, Rootfs
from reconciler.model.isolation import Isolation

OWN = """\
100 90 254:0 / / ro,nodev,relatime master:1 - ext4 /dev/root rw
110 100 0:30 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
111 100 0:31 / /dev rw,nosuid,noexec - tmpfs tmpfs rw,size=64k,mode=755
112 111 0:32 / /dev/pts rw,nosuid - devpts devpts rw
113 100 0:33 / /sys ro,nosuid,nodev,noexec - sysfs sysfs rw
114 110 0:31 /null /proc/kcore rw,nosuid,noexec - tmpfs tmpfs rw,size=64k,mode=755
115 113 0:34 / /sys/firmware ro,nosuid,nodev,noexec - tmpfs tmpfs rw,size=0k,mode=755
116 110 0:30 /sys /proc/sys ro,nosuid,nodev,noexec - proc proc rw
117 100 254:0 /var/with\\040space /with\\040space ro,nosuid,nodev - ext4 /dev/root rw
"""
ISOLATION = Isolation(
    masked_paths=("/proc/kcore", "/sys/firmware"), readonly_paths=("/proc/sys", "/sys/fs")
)
VOLUME = Mount(type=MountType.BIND, target="/with space", source="/var", options=("ro",))
NO_PID = 2**22 + 1


def config(**fields: object) -> Config:
    made = {"isolation": ISOLATION, "mounts": (VOLUME,), "rootfs": Rootfs(path="/r")} | fields
    return Config(command=("x",), **made)  # type: ignore[arg-type]


def weakened(more: str = "", **fields: object) -> list[str]:
    text = (OWN + more).encode()
    found = find_weakened(NO_PID, config(**fields), text, ())
    return [f"{one.path} {one.observed} -> {one.desired}" for one in found]


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/", 100),
        ("/etc", 100),
        ("/proc", 110),
        ("/process", 100),
        ("/proc/kcore", 114),
        ("/proc/sys/net", 116),
        ("/with space/x", 117),
    ],
)
def test_a_path_is_in_the_last_mount_on_its_way(path: str, number: int) -> None:
    found = MountTable(OWN.encode()).at(path)
    assert found is not None
    assert found.number == str(number)


def test_what_is_mounted_on_top_or_above_hides_what_is_below() -> None:
    on_top = "120 114 0:40 / /proc/kcore rw - ramfs ramfs rw\n"
    above = "121 110 0:30 / /proc rw - proc proc rw\n"
    table = MountTable((OWN + on_top).encode())
    assert table.at("/proc/kcore") == table.get("120")
    table = MountTable((OWN + above).encode())
    assert table.at("/proc/kcore") == table.get("121")


def test_a_table_without_a_root_knows_nothing() -> None:
    assert MountTable(b"").at("/") is None


def test_mounts_as_they_were_made_are_not_weakened() -> None:
    assert weakened() == []
    assert find_weakened(NO_PID, config(), b"", ()) == ()


def test_a_volume_or_root_that_can_be_written_is_told_and_more_protection_is_not() -> None:
    text = OWN.replace(" ro,nosuid,nodev - ext4", " rw,nodev - ext4")
    text = text.replace("/ / ro,nodev", "/ / rw,nodev")
    found = find_weakened(NO_PID, config(), text.encode(), ())
    assert [(one.path, one.observed, one.desired, one.is_live) for one in found] == [
        ("rootfs.readonly", False, True, True),
        ("mounts./with space", "suid,rw", "nosuid,ro", True),
    ]
    open_root = config(rootfs=Rootfs(path="/r", readonly=False), mounts=())
    assert find_weakened(NO_PID, open_root, text.encode(), ()) == ()


def test_a_tmpfs_that_was_made_read_only_as_a_whole_needs_a_new_one() -> None:
    scratch = Mount(type=MountType.TMPFS, target="/scratch")
    line = "130 100 0:50 / /scratch {} - tmpfs tmpfs {},mode=1777\n"
    for words, of_all, expected in (
        ("rw,nosuid,nodev", "rw", []),
        ("ro,nosuid,nodev", "rw", [("ro", "rw", True)]),
        ("rw,nosuid,nodev", "ro", [("ro", "rw", False)]),
    ):
        text = (OWN + line.format(words, of_all)).encode()
        found = find_weakened(NO_PID, config(mounts=(scratch, VOLUME)), text, ())
        assert [(one.observed, one.desired, one.is_live) for one in found] == expected
