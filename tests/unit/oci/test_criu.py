"""What is said to criu, and what is made for it: the parts that need none."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.config import Config, Rootfs
from reconciler.model.isolation import Isolation, MountSpec
from reconciler.oci.criu.outside import sources, streams_to_dump, streams_to_restore
from reconciler.oci.criu.rpc import CriuFailed, decode, encode
from reconciler.oci.criu.targets import make_targets


def test_a_message_is_read_as_it_was_written() -> None:
    inner = encode([(1, "/a"), (2, 300)])
    message = encode([(1, 1), (2, inner), (3, True), (37, "x"), (37, "y"), (4, -1)])
    assert message[:2] == b"\x08\x01"  # field 1, varint 1
    found = decode(message)
    assert found[1] == [1]
    assert decode(found[2][0]) == {1: [b"/a"], 2: [300]}
    assert found[37] == [b"x", b"y"]
    assert found[4] == [2**64 - 1]


@pytest.mark.parametrize("message", [b"\x08", b"\x08\x80", b"\x0d\x01\x01\x01\x01"])
def test_a_message_that_is_none_is_told(message: bytes) -> None:
    with pytest.raises(CriuFailed):
        decode(message)


def test_standard_streams_that_are_not_the_containers_are_given_anew() -> None:
    names = ["pipe:[7]", "/dev/pts/0", "file[1f:2]"]
    assert [value for _, value in streams_to_dump(names)] == ["file[1f:2]"]
    given = [decode(value) for _, value in streams_to_restore(names) if isinstance(value, bytes)]
    assert given == [{1: [b"pipe:[7]"], 2: [0]}, {1: [b"file[1f:2]"], 2: [2]}]


def _config(root: Path, *mounts: MountSpec) -> Config:
    isolation = Isolation(mounts=mounts, masked_paths=("/proc/keys",))
    return Config(command=("true",), rootfs=Rootfs(path=str(root)), isolation=isolation)


def test_mounts_of_the_hosts_have_their_sources(tmp_path: Path) -> None:
    bind = MountSpec(destination="/a//b", type="none", source="/host", options=("rbind",))
    proc = MountSpec(destination="/proc", type="proc", source="proc")
    found = sources(_config(tmp_path, proc, bind))
    assert found == {"/a/b": "/host", "/proc/keys": "/dev/null"}


def test_where_mounts_go_is_made_inside_the_root_and_not_in_other_mounts(tmp_path: Path) -> None:
    root, file = tmp_path / "root", tmp_path / "file"
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to("/real")
    file.touch()
    make_targets(
        _config(
            root,
            MountSpec(destination="/proc", type="proc", source="proc"),
            MountSpec(destination="/dev", type="tmpfs", source="tmpfs"),
            MountSpec(destination="/dev/pts", type="devpts", source="devpts"),
            MountSpec(destination="/link/x/file", type="bind", source=str(file)),
            MountSpec(destination="/data", type="bind", source=str(tmp_path)),
        )
    )
    assert (root / "proc").is_dir()
    assert (root / "real/x/file").is_file()
    assert (root / "data").is_dir()
    assert list((root / "dev").iterdir()) == []
