"""Names and numbers that lead elsewhere: ids as paths, users that are no users.

What an attempt would remove or enter is made by the test itself, below its own directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.errors import ErrorCode
from reconciler.model.config import Rootfs
from reconciler.model.frozen import replace
from tests.integration.conftest import in_root, run
from tests.integration.listed import listed
from tests.integration.oci.conftest import Oci, make_spec
from tests.integration.test_exec import run_in

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]


def _victim(tmp_path: Path) -> Path:
    """Return a directory with a file, which is no container of anybody's."""
    (tmp_path / "victim/logs").mkdir(parents=True)
    (tmp_path / "victim/logs/precious").touch()
    return tmp_path / "victim/logs/precious"


def _paths_to(victim: Path, tmp_path: Path) -> list[str]:
    directory = victim.parent
    return [str(directory), f"../../{directory.relative_to(tmp_path)}"]


def test_an_id_that_is_a_path_deletes_nothing(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    """By `delete --force`, which takes what it cannot read as well: all that is below was removed.

    Shown by the mutation of `Engine.handle` that takes any id. Not tried with `..`: where that is
    taken, the cgroup above, with the test in it, is killed.
    """
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    for name in ("logs", "overlay"):
        (oci.root / name).mkdir(exist_ok=True)
        (oci.root / name / "precious").touch()
    precious = _victim(tmp_path)
    for name in _paths_to(precious, tmp_path):
        done = oci.run("delete", "--force", name)
        assert done.returncode != 0, name
        assert "[InvalidIdFormat]" in done.stderr
    assert precious.exists()
    assert (oci.root / "logs/precious").exists()
    assert (oci.root / "overlay/precious").exists()
    assert oci.state(oci.id())["status"] == "running"


def test_no_verb_takes_an_id_that_is_a_path(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("/bin/true"))
    precious = _victim(tmp_path)
    verbs = (
        *("create", "run", "start", "state", "delete", "pause", "resume", "ps"),
        *("events", "exec", "kill", "update"),
    )
    more = {"exec": ["/bin/true"], "kill": ["KILL"], "update": ["--pids-limit", "9"]}
    for name in _paths_to(precious, tmp_path):
        for verb in verbs:
            done = oci.run(verb, name, *more.get(verb, ()))
            assert done.returncode != 0, (verb, name)
    assert precious.exists()
    assert oci.ok("list", "--quiet") == ""


def test_no_id_that_is_a_path_is_taken_by_the_engine(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    precious = _victim(tmp_path)
    takes = (engine.handle, engine.load, partial(engine.create, config=in_root(rootfs, "true")))
    for name in (*_paths_to(precious, tmp_path), "..", ".", ""):
        for take in takes:
            with pytest.raises(ReconcilerError) as caught:
                take(name)
            assert caught.value.code is ErrorCode.InvalidIdFormat
    assert precious.exists()


def test_a_root_whose_name_separates_layers_brings_in_no_other(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    """`lowerdir=A:B` are two layers (overlayfs): B is another directory of the host."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "seen").touch()
    odd = Path(f"{tmp_path}/odd,:{secret}")
    odd.parent.mkdir(parents=True)
    rootfs.rename(odd)
    layered = Rootfs(path=str(odd), readonly=False, overlay=True)
    assert "seen" not in run(engine, in_root(odd, "ls /", rootfs=layered))[1]
    config = replace(listed(odd, "ls /"), rootfs=layered)
    assert "seen" not in run(engine, config, "two")[1]


UID = "grep -E '^(U|G)id' /proc/self/status | tr -d '\\t'; echo $HOME"
NO_CHANGE = 2**32 - 1  # -1: setresuid(2) leaves as it is what was root


def test_the_probe_notices_who_stays_root() -> None:
    """What a runtime does that hands the number on."""
    program = (
        "import os; libc = __import__('ctypes').CDLL(None); "
        f"libc.setresgid(*[{NO_CHANGE}] * 3); libc.setresuid(*[{NO_CHANGE}] * 3); "
        "print(os.getresuid(), os.getresgid())"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "(0, 0, 0) (0, 0, 0)\n"


@pytest.mark.parametrize("number", [str(NO_CHANGE), str(2**32), str(2**64), "9" * 5000, "٣"])
def test_a_user_whose_number_is_none_is_not_root(engine: Engine, rootfs: Path, number: str) -> None:
    """CVE-2024-40635: by the spec, and by a row of the image's own table."""
    (rootfs / "etc/passwd").write_text(
        f"web:x:{number}:5::/:/bin/sh\nin:x:5:{number}::/:/bin/sh\nok:x:5:5::/:/bin/sh\n"
    )
    (rootfs / "etc/group").write_text(f"all:x:{number}:web,ok\n")
    container = engine.create("c1", in_root(rootfs, "exec sleep 1000"))
    container.start()
    for user in ("web", "in", number, f"5:{number}", "5:all", "ok:all"):
        with pytest.raises(ReconcilerError) as caught:
            run_in(container, UID, user=user)
        assert caught.value.code is ErrorCode.UserNotFound
        with pytest.raises(ReconcilerError) as caught:
            engine.create("two", in_root(rootfs, UID, user=user)).start()
        assert caught.value.code is ErrorCode.UserNotFound
        engine.handle("two").destroy()
    assert run_in(container, "id -G", user="ok")[1] == "5\n"


@pytest.mark.parametrize("number", [NO_CHANGE, 2**32, 2**64])
def test_the_command_line_refuses_such_a_user_too(
    oci: Oci, write_spec: WriteSpec, number: int
) -> None:
    for name, user in (("uid", {"uid": number, "gid": 5}), ("gid", {"uid": 5, "gid": number})):
        spec = make_spec("/bin/true")
        spec["process"]["user"] = user
        write_spec(spec)
        done = oci.run("run", oci.id(name))
        assert done.returncode != 0
        assert f"is no id of a {'user' if name == 'uid' else 'group'}" in done.stderr
    spec["process"]["user"] = {"uid": 5, "gid": 5, "additionalGids": [number]}
    write_spec(spec)
    assert "is no id of a group" in oci.run("run", oci.id("more")).stderr
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    assert oci.run("exec", "--user", f"{number}:5", oci.id(), "/bin/true").returncode != 0


def test_a_number_is_never_a_name_of_the_images_table(
    engine: Engine, oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """CVE-2016-3697: the image calls its root by the number that the spec asks for."""
    (rootfs / "etc/passwd").write_text(
        "1000:x:0:0::/root:/bin/sh\n65534:x:0:0::/root:/bin/sh\nlater:x:1000:7::/later:/bin/sh\n"
    )
    (rootfs / "etc/group").write_text("8:x:0:\n")
    nobody = in_root(rootfs, UID, user="65534:65534")
    assert run(engine, nobody)[1] == [*_ids(65534, 65534), "/"]
    _, rows = run(engine, in_root(rootfs, UID, user="1000:8"), "two")
    assert rows == [*_ids(1000, 8), "/later"]
    spec = make_spec("/bin/sh", "-c", UID)
    spec["process"]["user"] = {"uid": 1000, "gid": 8}
    write_spec(spec)
    assert oci.ok("run", oci.id()).splitlines() == [*_ids(1000, 8), "/later"]


def _ids(uid: int, gid: int) -> list[str]:
    return [f"Uid:{uid}" + str(uid) * 3, f"Gid:{gid}" + str(gid) * 3]


def test_a_row_that_is_damaged_counts_as_not_there(engine: Engine, rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_text(
        "web:x:5:group::/:/bin/sh\nweb:x:5:5::/a\0b:/bin/sh\nweb:x:6:6::/:/bin/sh\n"
    )
    assert run(engine, in_root(rootfs, UID, user="web"))[1] == [*_ids(6, 6), "/"]


def test_a_table_that_is_a_link_or_without_end_is_read_within_the_image_and_its_bound(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    """CVE-2024-9676 and its kin: the host's root reads what the image has in /etc/passwd.

    The same link, followed as any program would, is the probe.
    """
    outside = tmp_path / "passwd"
    outside.write_text("web:x:7:7::/:/bin/sh\n")
    table = rootfs / "etc/passwd"
    for target in (str(outside), f"../../../../../../../..{outside}"):
        table.unlink()
        table.symlink_to(target)
        assert table.read_text() == outside.read_text()
        with pytest.raises(ReconcilerError) as caught:
            engine.create("c1", in_root(rootfs, "true", user="web")).start()
        assert caught.value.code is ErrorCode.UserNotFound
        engine.handle("c1").destroy()
    table.unlink()
    table.write_text("web:x:5:5::/:/bin/sh\n")
    os.truncate(table, 2**40)  # it has no blocks, and no end
    assert run(engine, in_root(rootfs, UID, user="web"), "two")[1] == [*_ids(5, 5), "/"]
    table.write_text("\n" * 2**23)
    code = (
        "import resource; from reconciler.engine.users import look_up_user\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28)); look_up_user({str(rootfs)!r},"
        " '5', ())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cgroup_that_others_are_in_is_refused_and_they_live_on(
    oci: Oci, write_spec: WriteSpec
) -> None:
    """They were killed with the container, and when its start failed too.

    Mutation: without `cgroups.check_empty`. That the root is refused is tests/unit/oci/test_parts.
    """
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id("other"))
    with open(f"/proc/{oci.state(oci.id('other'))['pid']}/cgroup", encoding="ascii") as file:
        lines = [line.rstrip("\n").split(":") for line in file]
    [path] = [path for _, names, path in lines if names in ("", "pids")][-1:]
    spec = make_spec("/bin/true")
    spec["linux"]["cgroupsPath"] = path
    write_spec(spec)
    assert "would end with it" in oci.run("run", oci.id()).stderr
    assert oci.state(oci.id("other"))["status"] == "running"
    assert oci.ok("list", "--quiet").split() == [oci.id("other")]
