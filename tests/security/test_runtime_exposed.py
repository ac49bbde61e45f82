"""Attacks on what the runtime itself brings in: its program, descriptors, memory, keys.

CVE-2019-5736, CVE-2016-9962, CVE-2024-21626, CVE-2022-29162 and leaks. Each probe is shown to
notice success where nothing protects.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.model.config import Command, Config, Mount, MountType, Rootfs, Security
from tests.integration.conftest import in_root, run
from tests.integration.oci.conftest import Oci, make_spec
from tests.integration.test_exec import run_in

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]
_LEAKED = range(3, 40)
_LIST_FDS = "for f in /proc/self/fd/*; do [ -e $f ] && readlink $f; done; true"
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def overwrite(program: str) -> bool:
    """Tell whether a program that runs can be had by its /proc/PID/exe and written to."""
    pid = os.posix_spawn(program, ["sleep", "1000"], {})
    try:
        fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def test_the_probe_notices_that_a_program_can_be_overwritten(tmp_path: Path) -> None:
    program = shutil.copy("/bin/busybox", tmp_path / "sleep")
    assert overwrite(str(program))


def test_the_programs_that_start_containers_are_sealed(engine: Engine, rootfs: Path) -> None:
    """CVE-2019-5736: what `#!/proc/self/exe` names is the monitor's own program."""
    container = engine.create("c1", in_root(rootfs, "exec sleep 1000"))
    container.start()
    monitor = container.record.init
    assert monitor is not None
    with open(f"/proc/{monitor.pid}/status", encoding="ascii") as status:
        parent = next(line.split()[1] for line in status if line.startswith("PPid"))
    program = os.readlink(f"/proc/{parent}/exe")
    assert program.startswith("/memfd:")
    with open(f"/proc/{parent}/exe", "rb") as file:
        assert fcntl.fcntl(file, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE


def test_a_command_that_is_the_runtime_itself_gets_only_the_sealed_copy(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """CVE-2019-5736 replayed: the entry point's interpreter is /proc/self/exe."""
    entry = rootfs / "entry"
    entry.write_text("#!/proc/self/exe\n")
    entry.chmod(0o755)
    before = Path(os.path.realpath(sys.executable)).read_bytes()
    write_spec(make_spec("/entry"))
    oci.run("run", oci.id())
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id("two"))
    script = "exec 9</proc/self/exe; for p in /proc/[0-9]*; do echo x > $p/exe; done; true"
    oci.run("exec", oci.id("two"), "/bin/sh", "-c", script)
    oci.run("exec", oci.id("two"), "/entry")
    assert Path(os.path.realpath(sys.executable)).read_bytes() == before


def test_a_process_on_its_way_in_cannot_be_opened_from_inside(engine: Engine, rootfs: Path) -> None:
    """CVE-2016-9962: a watcher inside looks through every process that joins."""
    writable = Rootfs(path=str(rootfs), readonly=False)
    watcher = (
        "while :; do for p in /proc/[0-9]*; do for f in $p/fd/*; do "
        'l=$(readlink $f) && case "$l" in *memfd*|*epoll*|*monitor*|*cgroup*) '
        'echo "$l" >> /tmp/seen;; esac; done; '
        'l=$(readlink $p/exe) && case "$l" in *memfd*|*python*) echo "$l" >> /tmp/seen;; esac; '
        "done; done 2>/dev/null"
    )
    container = engine.create("c1", in_root(rootfs, watcher, rootfs=writable))
    container.start()
    for _ in range(20):
        assert run_in(container, "exec 7<>/tmp/mine; true")[0] == 0
    seen = rootfs / "tmp/seen"
    assert not seen.exists(), seen.read_text()
    assert (rootfs / "tmp/mine").exists()


# Says of every process beside it that it may trace: the capabilities, and what is open.
TRACE = """
import ctypes, os
libc = ctypes.CDLL(None)
said, seen = open("/srv/said", "a", buffering=1), {}
print("looking", file=said)
while True:
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            program = os.readlink(f"/proc/{name}/exe")
            if seen.get(name) == program or libc.ptrace(0x4206, int(name), 0, 0):  # PTRACE_SEIZE
                continue
            seen[name] = program
            libc.ptrace(0x4207, int(name), 0, 0)  # PTRACE_INTERRUPT
        except OSError:
            continue
        os.waitpid(int(name), 0x40000000)  # __WALL: until it has stopped, or ended
        try:
            with open(f"/proc/{name}/status") as file:
                rights = next(line.split()[1] for line in file if line.startswith("CapPrm"))
            fds = {os.readlink(f"/proc/{name}/fd/{fd}") for fd in os.listdir(f"/proc/{name}/fd")}
            print(program, rights, *fds, sep="|", file=said)
        except OSError:
            continue
        finally:
            libc.ptrace(17, int(name), 0, 0)  # PTRACE_DETACH
"""


@pytest.mark.parametrize("may_gain", [False, True])
def test_a_process_that_is_traced_from_its_first_moment_has_no_right_of_the_hosts(
    engine: Engine, tmp_path: Path, may_gain: bool
) -> None:
    """CVE-2016-9962 with CAP_SYS_PTRACE, which no flag of the process's own protects from.

    Mutation: ForkInside before Confine in `setup._joined_steps`.
    """
    (tmp_path / "said").touch()
    tmp_path.chmod(0o755)
    mount = Mount(type=MountType.BIND, source=str(tmp_path), target="/srv", options=("rw",))
    security = Security(capabilities=("SYS_PTRACE",), no_new_privileges=not may_gain)
    command = ("/usr/bin/python3", "-c", TRACE)
    config = Config(command=command, user="0:0", mounts=(mount,), security=security)
    container = engine.create("c1", config)
    container.start()
    while "looking" not in (tmp_path / "said").read_text():
        os.sched_yield()
    for _ in range(20):
        assert run_in(container, "exec sleep 0.01")[0] == 0
    _, *lines = (tmp_path / "said").read_text().splitlines()
    rows = [line.split("|") for line in lines]
    assert rows  # it has traced some
    assert {row[1] for row in rows} <= {f"{1 << 19:016x}", f"{0:016x}"}  # CAP_SYS_PTRACE
    opened = {fd for row in rows if "memfd" in row[0] for fd in row[2:]}
    assert {fd for fd in opened if not fd.startswith("pipe:")} <= {"/dev/null"}


@pytest.mark.parametrize("way", ["start", "exec"])
def test_no_leaked_descriptor_is_a_working_directory(
    engine: Engine, rootfs: Path, way: str
) -> None:
    """CVE-2024-21626: every number is tried, also through a link in the image."""
    container = engine.create("c1", in_root(rootfs, "exec sleep 1000"))
    container.start()
    for number in _LEAKED:
        link = rootfs / f"srv/{number}"
        link.symlink_to(f"/proc/self/fd/{number}")
        for workdir in (f"/proc/self/fd/{number}", f"/srv/{number}"):
            config = in_root(rootfs, "exec sleep 9", workdir=workdir)
            with pytest.raises(ReconcilerError):
                _ = (
                    engine.create("two", config).start()
                    if way == "start"
                    else run_in(container, "pwd", workdir=workdir)
                )
            if way == "start":
                engine.handle("two").destroy()


@pytest.mark.parametrize(("may_gain", "why"), [(True, "outside"), (False, "no such file")])
def test_a_descriptor_of_the_host_handed_in_is_no_working_directory(
    engine: Engine, rootfs: Path, may_gain: bool, why: str
) -> None:
    """The probe itself: here a directory of the host is really open, as standard input.

    Who may gain privileges enters its directory in its pid namespace, where /proc/self is; others
    before.
    """
    security = Security(no_new_privileges=not may_gain)
    container = engine.create("c1", in_root(rootfs, "exec sleep 1000", security=security))
    container.start()
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    null = os.open("/dev/null", os.O_RDWR)
    command = Command(argv=("/bin/true",), workdir="/proc/self/fd/0")
    try:
        with pytest.raises(ReconcilerError, match=why):
            container.execute(command, [host, null, null])
    finally:
        os.close(host)
        os.close(null)


def test_the_command_line_has_no_leaked_descriptor_as_working_directory(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id("one"))
    for number in range(3, 12):
        spec = make_spec("/bin/pwd")
        spec["process"]["cwd"] = f"/proc/self/fd/{number}"
        write_spec(spec)
        assert oci.run("run", oci.id(f"start{number}")).returncode != 0
        cwd = f"/proc/self/fd/{number}"
        assert oci.run("exec", "--cwd", cwd, oci.id("one"), "/bin/pwd").returncode != 0


def test_nothing_is_open_beyond_the_standard_streams(engine: Engine, rootfs: Path) -> None:
    container, rows = run(engine, in_root(rootfs, "ls /proc/self/fd"))
    assert rows == ["0", "1", "2", "3"]  # 3 is the directory that ls reads
    two = engine.create("c2", in_root(rootfs, "exec sleep 1000"))
    two.start()
    assert run_in(two, "ls /proc/self/fd")[1].split() == ["0", "1", "2", "3"]
    assert container.config.command


def test_a_further_process_has_no_capability_that_was_not_given(
    engine: Engine, rootfs: Path
) -> None:
    """CVE-2022-29162, CVE-2022-24769: the inheritable set above all."""
    container = engine.create("c1", in_root(rootfs, "exec sleep 1000"))
    container.start()
    rows = dict(
        row.split(":\t", 1) for row in run_in(container, "cat /proc/self/status")[1].splitlines()
    )
    assert [int(rows[name], 16) for name in _CAPABILITIES] == [0] * 5
    assert int(rows["SigBlk"], 16) == 0
    assert int(rows["SigIgn"], 16) in (0, 1 << signal.SIGQUIT - 1)  # which busybox's shell ignores
    assert rows["Umask"] == "0022"
    with open("/proc/self/status", encoding="ascii") as own:
        ours = dict(row.rstrip("\n").split(":\t", 1) for row in own)
    assert int(ours["CapEff"], 16)  # ours would be noticed


def test_the_environment_is_the_containers_alone(
    engine: Engine, rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_SECRET", "1")
    _, rows = run(engine, in_root(rootfs, "tr '\\0' '\\n' < /proc/self/environ"))
    assert {row.partition("=")[0] for row in rows} <= {"PATH", "HOME", "HOSTNAME", "PWD", "SHLVL"}


def test_a_file_that_is_handed_in_as_input_stays_its_owners(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    """`run < /etc/passwd`: what is written to becomes the user's, to reopen it, as with runc."""
    given, said = tmp_path / "given", tmp_path / "written"
    given.write_text("given\n")
    spec = make_spec("/bin/sh", "-c", "cat; echo more > /dev/stdout")
    spec["process"]["user"] = {"uid": 1500, "gid": 1600}
    write_spec(spec)
    sleep = make_spec("/bin/sleep", "1000")
    for name, words in (("run", []), ("exec", ["--user", "1500:1600"])):
        if name == "exec":
            write_spec(sleep)
            oci.start_in_background("run", "-d", oci.id("two"))
            words += [oci.id("two"), "/bin/sh", "-c", "cat; echo more > /dev/stdout"]
        with given.open() as stdin, said.open("w") as stdout:
            argv = [*oci.program, name, *(words or [oci.id()])]
            subprocess.run(argv, stdin=stdin, stdout=stdout, cwd=oci.bundle, check=True)
        assert given.stat().st_uid == 0
        assert said.stat().st_uid == 1500
        assert "more" in said.read_text()
