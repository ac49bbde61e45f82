"""`run` without a second interpreter: what is executed, by whom, and that nothing else differs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci, make_spec

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]
_TIME = re.compile('time="[^"]*"')
_REPORT = '{\\"errno\\":   ,'


@pytest.fixture(autouse=True)
def _without_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR"):
        monkeypatch.delenv(name, raising=False)


def executed(oci: Oci, tmp_path: Path, *words: str) -> list[str]:
    """Return the system calls that execute programs, of ours and of all that it starts."""
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-qq", "-s", "300", "-e", "trace=execve,execveat", "-o", str(log)]
    whole = Oci([], oci.root, oci.bundle)
    whole.program = [*traced, *oci.program]
    done = whole.run(*words)
    assert done.returncode == 0, done.stderr
    rows = [row.split(" ", 1)[1].strip() for row in log.read_text().splitlines()]
    return [row for row in rows if row.startswith("exec") and row.endswith("= 0")]


def kinds(rows: list[str]) -> list[str]:
    """Return of each call: ours, sealed (ours from memory), trampoline, or command."""
    return [
        "trampoline"
        if _REPORT in row
        else "sealed"
        if row.startswith("execveat") and "reconciler.oci.main" in row
        else "ours"
        if "reconciler" in row
        else "command"
        for row in rows
    ]


def test_the_command_is_executed_from_the_trampoline(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("/bin/true"))
    assert kinds(executed(oci, tmp_path, "run", oci.id())) == ["ours", "trampoline", "command"]


def with_host_pids(spec: dict[str, Any], _: Path) -> None:
    kinds_left = [one for one in spec["linux"]["namespaces"] if one["type"] != "pid"]
    spec["linux"]["namespaces"] = kinds_left


def with_a_filter(spec: dict[str, Any], _: Path) -> None:
    names = ["fcntl"]
    spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": names,
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": 9999, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }


def with_host_mounts(spec: dict[str, Any], _: Path) -> None:
    kinds_left = [one for one in spec["linux"]["namespaces"] if one["type"] != "mount"]
    spec["linux"]["namespaces"] = kinds_left


def with_a_filter_of_looks(spec: dict[str, Any], _: Path) -> None:
    forbid(spec, "newfstatat")


def forbid(spec: dict[str, Any], name: str) -> None:
    calls = [{"names": [name], "action": "SCMP_ACT_ERRNO"}]
    spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}


def with_a_hook(spec: dict[str, Any], root: Path) -> None:
    hook = root / "hook"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    spec["hooks"] = {"startContainer": [{"path": "/hook"}]}


@pytest.mark.parametrize(
    "change",
    [with_host_pids, with_host_mounts, with_a_filter, with_a_filter_of_looks, with_a_hook],
)
def test_where_others_could_look_or_a_filter_forbids_it_is_a_sealed_copy(
    change: Callable[[dict[str, Any], Path], None],
    oci: Oci,
    write_spec: WriteSpec,
    rootfs: Path,
    tmp_path: Path,
) -> None:
    spec = make_spec("/bin/true")
    change(spec, rootfs)
    write_spec(spec)
    done = kinds(executed(oci, tmp_path, "run", oci.id()))
    assert (done[:2], "trampoline" in done) == (["ours", "sealed"], False)


def test_what_is_loaded_from_elsewhere_loads_it_in_a_sealed_copy(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_spec(make_spec("/bin/true"))
    assert kinds(executed(oci, tmp_path, "run", oci.id()))[:2] == ["ours", "sealed"]


@pytest.mark.parametrize("name", ["mount", "ioctl", "close_range"])
def test_a_filter_that_allows_it_is_no_hindrance(
    name: str, oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    spec = make_spec("/bin/true")
    forbid(spec, name)
    write_spec(spec)
    assert kinds(executed(oci, tmp_path, "run", oci.id())) == ["ours", "trampoline", "command"]


def test_a_waiting_init_is_a_sealed_copy(oci: Oci, write_spec: WriteSpec) -> None:
    """Others may join its pid namespace for as long as it waits."""
    write_spec(make_spec("/bin/true"))
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")


def test_an_entry_point_that_is_the_runtime_itself_executes_nothing(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, tmp_path: Path
) -> None:
    """CVE-2019-5736: what it gets is the trampoline, and that is not its."""
    entry = rootfs / "entry"
    entry.write_text("#!/proc/self/exe\n")
    entry.chmod(0o755)
    write_spec(make_spec("/entry", "/bin/echo", "x", "here"))
    done = oci.run("run", oci.id())
    assert (done.returncode, done.stdout) == (127, "")
    for path in {sys.executable, os.path.realpath(sys.executable)}:
        assert stat.S_ISREG(os.stat(path).st_mode)


def not_there(_: Path) -> str:
    return "/bin/none"


def no_interpreter(root: Path) -> str:
    (root / "script").write_text("#!/bin/none\n")
    (root / "script").chmod(0o755)
    return "/script"


def not_executable(root: Path) -> str:
    (root / "plain").write_text("x")
    return "/plain"


def a_directory(_: Path) -> str:
    return "/bin"


def no_program(root: Path) -> str:
    (root / "odd").write_bytes(b"\x7fELFodd")
    (root / "odd").chmod(0o755)
    return "/odd"


def too_long(_: Path) -> str:
    return "/" + "x" * 300


@pytest.mark.parametrize(
    "make", [not_there, no_interpreter, not_executable, a_directory, no_program, too_long]
)
def test_what_cannot_be_executed_is_told_as_without_the_trampoline(
    make: Callable[[Path], str],
    oci: Oci,
    write_spec: WriteSpec,
    rootfs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_spec(make_spec(make(rootfs)))
    ours = oci.run("run", oci.id())
    monkeypatch.setenv("PYTHONPATH", str(rootfs))
    sealed = oci.run("run", oci.id())
    assert ours.returncode == sealed.returncode == 1
    assert _TIME.sub("", ours.stderr) == _TIME.sub("", sealed.stderr)
    assert "cannot start" in ours.stderr
    assert oci.ok("list", "--quiet") == ""


def test_arguments_environment_and_descriptors_arrive(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    script = 'echo "$0 $* $A"; ls /proc/self/fd; readlink /proc/self/fd/3; exit 5'
    spec = make_spec("sh", "-c", script, "", "ü", " x ")
    spec["process"]["env"] = ["PATH=/bin", "A=one"]
    write_spec(spec)
    kept = tmp_path / "kept"
    opening = ["/bin/sh", "-c", 'exec 3>"$0"; exec "$@"', str(kept)]
    oci.program = [*opening, *oci.program]
    done = oci.run("run", "--preserve-fds", "1", oci.id())
    assert done.returncode == 5
    assert done.stdout.splitlines() == [" ü  x  one", "0", "1", "2", "3", "4", str(kept)]


@pytest.mark.parametrize("uid", [0, 1000])
def test_capabilities_and_ids_survive_it(
    uid: int, oci: Oci, write_spec: WriteSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = make_spec("/bin/cat", "/proc/self/status")
    sets = ("effective", "permitted", "inheritable", "bounding", "ambient")
    spec["process"]["capabilities"] = {name: ["CAP_KILL", "CAP_CHOWN"] for name in sets}
    spec["process"]["capabilities"]["bounding"].append("CAP_FOWNER")
    spec["process"]["user"] = {"uid": uid, "gid": 5, "additionalGids": [7], "umask": 0o27}
    write_spec(spec)
    wanted = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Umask", "SigBlk", "SigIgn")

    def rows() -> list[str]:
        return [row for row in oci.ok("run", oci.id()).splitlines() if row.startswith(wanted)]

    ours = rows()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ours == rows()
    assert len(ours) == 12


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("name", ["effective", "bounding"])
def test_what_capabilities_let_it_execute_is_executed(
    name: str,
    uid: int,
    oci: Oci,
    write_spec: WriteSpec,
    rootfs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trampoline has already lost what the command loses, or gained what root gains."""
    place = rootfs / "private"
    place.mkdir(mode=0o700)
    (place / "script").write_text("#!/bin/sh\n")
    (place / "script").chmod(0o755)
    os.chown(place, 4000, 4000)
    spec = make_spec("/private/script")
    sets = {"bounding": [], "permitted": ["CAP_DAC_OVERRIDE"], name: ["CAP_DAC_OVERRIDE"]}
    spec["process"]["capabilities"] = sets
    spec["process"]["user"] = {"uid": uid, "gid": uid}
    write_spec(spec)
    ours = oci.run("run", oci.id())
    monkeypatch.setenv("PYTHONPATH", str(rootfs))
    sealed = oci.run("run", oci.id())
    assert ours.returncode == sealed.returncode
    assert _TIME.sub("", ours.stderr) == _TIME.sub("", sealed.stderr)
    # the script itself is read by a shell with what it has then
    assert ("not executable" in ours.stderr) == (name == "bounding")


@pytest.mark.parametrize("no_new", [False, True])
@pytest.mark.parametrize("permitted", [[], ["CAP_NET_RAW"]])
def test_capabilities_of_files_are_as_without_it(
    permitted: list[str],
    no_new: bool,
    oci: Oci,
    write_spec: WriteSpec,
    rootfs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there are to be no new ones a file gives what the process has, if it still has it."""
    program = rootfs / "busybox"  # which goes by its name
    shutil.copy(rootfs / "bin/busybox", program)
    # capability.h: vfs_cap_data, revision 2 with the effective bit, permitted CAP_NET_RAW
    data = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    os.setxattr(program, "security.capability", data)
    spec = make_spec("/busybox", "cat", "/proc/self/status")
    sets = {"bounding": ["CAP_NET_RAW"], "permitted": permitted}
    process = {"user": {"uid": 1000, "gid": 1000}, "noNewPrivileges": no_new, "capabilities": sets}
    spec["process"] |= process
    write_spec(spec)

    def has() -> bool:
        rows = oci.ok("run", oci.id()).splitlines()
        (row,) = (row for row in rows if row.startswith("CapEff"))
        return bool(int(row.split()[1], 16))

    ours = has()
    monkeypatch.setenv("PYTHONPATH", str(rootfs))
    assert ours == has() == (not no_new or bool(permitted))


@pytest.mark.parametrize("value", [1, 2])
@pytest.mark.parametrize("verb", ["run", "create"])
def test_memory_files_that_are_not_executable_unless_told_are_told(
    verb: str, value: int, oci: Oci, write_spec: WriteSpec
) -> None:
    """vm.memfd_noexec (Linux 6.3) is of a pid namespace; 2 forbids what runs from memory."""
    sysctl = Path("/proc/sys/vm/memfd_noexec")
    if not sysctl.exists():
        pytest.skip("the kernel has no vm.memfd_noexec")
    write_spec(make_spec("/bin/true"))
    inner = f'echo {value} >{sysctl} && "$@"'
    whole = Oci([], oci.root, oci.bundle)
    whole.program = ["unshare", "-fp", "--mount-proc", "sh", "-c", inner, "sh", *oci.program]
    done = whole.run(verb, oci.id())
    if verb == "create" and value == 1:
        oci.ok("delete", "--force", oci.id())
    if value == 1:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert "the sysctl vm.memfd_noexec is 2" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_standard_stream_is_dev_null_inside(
    closed: str,
    sealed: bool,
    oci: Oci,
    write_spec: WriteSpec,
    tmp_path: Path,
    rootfs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sealed:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    script = "for fd in 0 1 2; do to=$(readlink /proc/$$/fd/$fd); echo $to >>/links; done; exit 3"
    write_spec(make_spec("/bin/sh", "-c", script))
    oci.program = ["/bin/sh", "-c", f'exec "$0" "$@" {closed}', *oci.program]
    assert oci.run("run", oci.id()).returncode == 3
    links = (rootfs / "links").read_text().splitlines()
    assert len(links) == 3
    for fd, link in enumerate(links):
        if f"{fd}<&-" in closed or f"{fd}>&-" in closed:
            assert link == "/dev/null"


def test_who_wants_no_byte_code_gets_none_from_the_copy_either(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_spec(make_spec("/bin/true"))
    rows = executed(oci, tmp_path, "run", oci.id())
    assert '"-B"' in rows[1]
