"""Checkpoint and restore through CRIU: this kernel can, once its modules are loaded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.cgroup_cell import eventually
from tests.guest.machine.kernel import prepare_kernel
from tests.integration.conftest import rootfs  # noqa: F401 - a fixture
from tests.integration.oci.conftest import Oci, Spec, make_spec, oci, write_spec  # noqa: F401

pytestmark = pytest.mark.requires_command("criu", "ip", "iptables", "insmod")

WriteSpec = Callable[[Spec], None]
_MODULES = (
    *("unix_diag", "netlink_diag", "tcp_diag", "udp_diag", "raw_diag", "af_packet_diag"),
    *("tun", "veth", "nf_conntrack_netlink", "nft_compat", "nft_chain_nat", "iptable_filter"),
)
_COUNT = "i=0; while :; do i=$((i+1)); echo $i > /srv/count; sleep 0.02; done"


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    """Load what criu looks for, each after what it depends on (modules.dep(5))."""
    directory = prepare_kernel().modules
    rows = [line.split() for line in (directory / "modules.dep").read_text().splitlines()]
    needs = {Path(row[0].rstrip(":")).stem: [*reversed(row[1:]), row[0][:-1]] for row in rows}
    for name in _MODULES:
        for path in needs[name]:
            subprocess.run(["insmod", directory / path], check=False, capture_output=True)
    checked = subprocess.run(["criu", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.fixture
def counting(oci: Oci, write_spec: WriteSpec, rootfs: Path) -> Path:  # noqa: F811
    """Give the file into which a running container counts: it goes on where it was."""
    spec = make_spec("sh", "-c", _COUNT)
    volume = oci.bundle / "volume"
    volume.mkdir()
    (volume / "file").write_text("of the host\n")
    spec["mounts"].append({"destination": "/mnt", "source": str(volume), "options": ["rbind"]})
    spec["linux"]["maskedPaths"] = ["/proc/keys", "/proc/acpi", "/proc/no-such"]
    spec["linux"]["readonlyPaths"] = ["/proc/sys"]
    spec["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    count = rootfs / "srv/count"
    assert eventually(lambda: _read(count) > 3)
    return count


def _read(count: Path) -> int:
    return int(count.read_text() or "0") if count.exists() else 0


def _goes_on(oci: Oci, count: Path, name: str = "c") -> None:  # noqa: F811
    """Check that a container runs and counts on from where it was."""
    assert oci.state(oci.id(name))["status"] == "running"
    before = _read(count)
    assert before > 3
    assert eventually(lambda: _read(count) > before)


def test_a_container_is_saved_and_brought_back_as_it_was(oci: Oci, counting: Path) -> None:  # noqa: F811
    former = oci.state(oci.id())["pid"]
    oci.ok("checkpoint", "--image-path", "images", "--work-path", "work", oci.id())
    assert oci.run("state", oci.id()).returncode == 1
    assert not Path(f"/proc/{former}").exists()
    assert (oci.bundle / "images/inventory.img").exists()
    assert json.loads((oci.bundle / "images/descriptors.json").read_text())
    assert (oci.bundle / "work/dump.log").exists()
    words = ["restore", "-d", "--image-path", "images", "--work-path", "work"]
    oci.start_in_background(*words, "--pid-file", "pid", oci.id())
    _goes_on(oci, counting)
    pid = oci.state(oci.id())["pid"]
    assert (oci.bundle / "pid").read_text() == str(pid)
    inside = (
        "cat /mnt/file; wc -c < /proc/keys; cat /proc/self/cgroup; : > /proc/sys/kernel/hostname"
    )
    shown = oci.run("exec", oci.id(), "sh", "-c", inside)
    assert shown.stdout.split("\n")[:3] == ["of the host", "0", "0::/"]
    assert "Read-only" in shown.stderr
    (limits,) = Path("/sys/fs/cgroup").rglob(oci.id())
    assert (limits / "memory.max").read_text() == f"{64 << 20}\n"
    assert str(pid) in (limits / "cgroup.procs").read_text().split()


@pytest.mark.slow
def test_it_may_go_on_and_be_saved_in_two_parts(oci: Oci, counting: Path) -> None:  # noqa: F811
    oci.ok("checkpoint", "--pre-dump", "--image-path", "parent", oci.id())
    _goes_on(oci, counting)
    words = ["--leave-running", "--image-path", "images", "--parent-path", "parent"]
    oci.ok("checkpoint", *words, oci.id())
    _goes_on(oci, counting)
    assert (oci.bundle / "images/parent").is_symlink()
    oci.ok("delete", "--force", oci.id())
    oci.start_in_background("restore", "-d", "--image-path", "images", oci.id())
    _goes_on(oci, counting)


@pytest.mark.slow
def test_another_name_and_another_cgroup_are_fine(oci: Oci, counting: Path) -> None:  # noqa: F811
    oci.ok("checkpoint", "--image-path", "images", oci.id())
    oci.start_in_background("restore", "-d", "--image-path", "images", oci.id("other"))
    _goes_on(oci, counting, "other")
    (directory,) = Path("/sys/fs/cgroup").rglob(oci.id("other"))
    pid = str(oci.state(oci.id("other"))["pid"])
    assert pid in (directory / "cgroup.procs").read_text().split()
    assert not list(Path("/sys/fs/cgroup").rglob(oci.id()))
    oci.ok("checkpoint", "--image-path", "again", oci.id("other"))
    oci.start_in_background("restore", "-d", "--image-path", "again", oci.id())
    _goes_on(oci, counting)
    oci.ok("kill", oci.id(), "KILL")
    oci.await_status(oci.id(), "stopped")
    oci.ok("delete", oci.id())


@pytest.mark.slow
def test_its_pipes_are_those_of_the_restore_and_its_exit_code_is_passed_on(
    oci: Oci,  # noqa: F811
    write_spec: WriteSpec,  # noqa: F811
) -> None:
    write_spec(make_spec("sh", "-c", "read line; echo got $line; exit 3"))
    read, write = os.pipe()
    with open(write, "wb"), open(read, "rb") as given, open(oci.bundle / "out", "wb") as out:
        pipe = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out)
        command = [*oci.program, "run", "-d", oci.id()]
        given_out = pipe.stdin
        subprocess.run(
            command, check=True, cwd=oci.bundle, stdin=given, stdout=given_out, stderr=given_out
        )
        oci.ok("checkpoint", "--image-path", "images", oci.id())
        assert pipe.stdin is not None
        pipe.stdin.close()
        pipe.wait()
    done = oci.run("restore", "--image-path", "images", oci.id(), input="a line\n", stdin=None)
    assert done.stdout == "got a line\n", done.stderr
    assert done.returncode == 3
    assert oci.ok("list", "-q") == ""


@pytest.mark.slow
def test_a_terminal_comes_over_the_console_socket_again(
    oci: Oci,  # noqa: F811
    write_spec: WriteSpec,  # noqa: F811
) -> None:
    spec = make_spec("sh", "-c", "while read line; do echo got $line; done")
    spec["process"]["terminal"] = True
    write_spec(spec)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(oci.bundle / "console"))
        server.listen()
        first = _run_with_terminal(oci, server, "run")
        oci.ok("checkpoint", "--image-path", "images", oci.id())
        os.close(first)
        master = _run_with_terminal(oci, server, "restore", "--image-path", "images")
    os.write(master, b"hello\n")
    said = b""
    while b"got hello" not in said:
        said += os.read(master, 1000)
    os.close(master)


def _run_with_terminal(oci: Oci, server: socket.socket, *words: str) -> int:  # noqa: F811
    oci.start_in_background(words[0], "-d", "--console-socket", "console", *words[1:], oci.id())
    connection, _ = server.accept()
    with connection:
        _, (master, *_), _, _ = socket.recv_fds(connection, 100, 1)
    return master


@pytest.mark.slow
def test_what_cannot_be_saved_or_brought_back_is_told(oci: Oci, counting: Path) -> None:  # noqa: F811
    for words, problem in (
        (["checkpoint", "--lazy-pages", oci.id()], "--lazy-pages is not supported"),
        (["checkpoint", "--manage-cgroups-mode", "odd", oci.id()], "--manage-cgroups-mode is one"),
        (["restore", "--image-path", "nowhere", oci.id("other")], "holds no checkpoint"),
    ):
        refused = oci.run(*words)
        assert refused.returncode == 1
        assert problem in refused.stderr
    assert oci.ok("list", "-q").split() == [oci.id()]
    _goes_on(oci, counting)
