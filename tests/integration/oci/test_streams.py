"""Standard streams, terminals and descriptors of a container."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]


def _read_until(fd: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        assert select.select([fd], [], [], 30)[0], said
        said += os.read(fd, 4096)
    return said


@pytest.fixture
def terminal_spec() -> Spec:
    """Return a config with a terminal."""
    spec = make_spec("sh", "-c", "tty; stty size; cat /proc/mounts | grep console; read line")
    spec["process"]["terminal"] = True
    spec["process"]["consoleSize"] = {"height": 31, "width": 97}
    return spec


def test_the_master_of_the_terminal_comes_over_the_console_socket(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path, terminal_spec: Spec
) -> None:
    write_spec(terminal_spec)
    path = str(tmp_path / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        oci.ok("create", "--console-socket", path, oci.id())
        connection, _ = listener.accept()
        with connection:
            name, (master, *_), _, _ = socket.recv_fds(connection, 4096, 1)
    assert name == b"/dev/ptmx"
    oci.ok("start", oci.id())
    said = _read_until(master, b"/dev/console")
    os.close(master)
    assert b"/dev/pts/0" in said
    assert b"31 97" in said


def test_a_detached_terminal_needs_a_socket(
    oci: Oci, write_spec: WriteSpec, terminal_spec: Spec
) -> None:
    write_spec(terminal_spec)
    for words in (["create", oci.id()], ["run", "-d", oci.id()]):
        refused = oci.run(*words)
        assert refused.returncode == 1
        assert "--console-socket" in refused.stderr


def test_in_the_foreground_the_terminal_is_joined_to_ours(
    oci: Oci, write_spec: WriteSpec, terminal_spec: Spec
) -> None:
    terminal_spec["process"]["args"] = ["sh", "-c", "tty; read line; echo got $line; exit 5"]
    write_spec(terminal_spec)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(oci.bundle)
        os.execv(sys.executable, [*oci.program, "run", oci.id()])
    _read_until(master, b"/dev/pts/0")
    os.write(master, b"hello\r")
    _read_until(master, b"got hello")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(master)


def test_descriptors_are_handed_on_where_told_and_no_others(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("sh", "-c", "cat <&3; ls /proc/self/fd"))
    (tmp_path / "three").write_text("from three\n")
    script = f'exec 3< {tmp_path}/three 4< /dev/null; exec "$@"'
    command = ["sh", "-c", script, "sh", *oci.program, "run", "--preserve-fds", "1", oci.id()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=oci.bundle, stdin=0
    )
    assert done.stdout.splitlines() == ["from three", "0", "1", "2", "3", "4"]  # 4: ls's own


@pytest.mark.parametrize("seccomp", [None, {"defaultAction": "SCMP_ACT_LOG"}])
def test_of_descriptors_to_hand_on_that_are_not_open_none_is_one_of_ours(
    seccomp: dict[str, str] | None, oci: Oci, write_spec: WriteSpec
) -> None:
    spec = make_spec("ls", "/proc/self/fd")
    if seccomp is not None:
        spec["linux"]["seccomp"] = seccomp
    write_spec(spec)
    done = oci.run("run", "--preserve-fds", "5", oci.id())
    assert "of 5 descriptors to preserve [3, 4, 5, 6, 7] are not open" in done.stderr
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3: ls's own


def test_nothing_of_the_launcher_is_open_inside(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("ls", "/proc/self/fd"))
    assert oci.ok("run", oci.id()).split() == ["0", "1", "2", "3"]  # 3: ls's own


def test_the_null_device_as_a_standard_stream_is_the_containers_own(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("cat", "/proc/self/fdinfo/0", "/proc/self/mountinfo"))
    lines = oci.ok("run", oci.id()).splitlines()  # its input is /dev/null
    mounts = {line.split()[0] for line in lines if " - " in line}
    (own,) = (line.split()[1] for line in lines if line.startswith("mnt_id:"))
    assert own in mounts


def test_an_init_that_waits_holds_nothing_of_the_launcher(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("true"))
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    links = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
    record = f"{oci.root}/containers/{oci.id()}"
    ours = {link for link in links if not link.startswith(("pipe:", "/dev/null"))}
    assert ours <= {f"{record}/exec.fifo", f"{record}/exec.status", str(oci.root.parent / "said")}


def test_the_interpreter_cannot_be_written_from_inside(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("create", oci.id())
    exe = f"/proc/{oci.state(oci.id())['pid']}/exe"
    assert os.readlink(exe).startswith("/memfd:")
    with pytest.raises(OSError, match=r"Text file busy|not permitted"):
        os.close(os.open(exe, os.O_WRONLY))
