"""Writes to /proc that are led elsewhere: CVE-2025-52881, CVE-2019-16884, CVE-2025-52565."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.errors import ErrorCode
from reconciler.linux.proc import write_file
from reconciler.linux.process import CloneFlag, fork, setns
from reconciler.model.isolation import MountSpec, Namespaces
from tests.integration.listed import KERNEL_FS, listed
from tests.integration.oci.conftest import Oci, make_spec

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("unshare")]

PARAMETER = "sys/kernel/domainname"
# What an attacker mounts in its own namespace, with the file that shall be written to.
TRAPS = {
    "a file system that is no procfs": (
        "mount -t tmpfs none /proc && mkdir -p /proc/sys/kernel && "
        f"ln -s $0 /proc/{PARAMETER} && mkdir /proc/self && ln -s $0 /proc/self/oom_score_adj"
    ),
    "a file over the file": (
        f"mount --bind $0 /proc/{PARAMETER} && mount --bind $0 /proc/$$/oom_score_adj"
    ),
    "a part of another procfs": "mount --bind /proc/fs /proc",
}


@pytest.fixture(params=list(TRAPS))
def trap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Return the path of a mount namespace with a trap in it, and the file behind it."""
    caught = tmp_path / "caught"
    caught.write_text("")
    script = f"{TRAPS[request.param]} && echo ready && exec sleep 1000"
    command = ["unshare", "--mount", "sh", "-c", script, str(caught)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield f"/proc/{holder.pid}/ns/mnt", caught
        holder.kill()


def write_by_name(namespace: str) -> None:
    """Write as a runtime does that trusts /proc, in a child."""
    fd = os.open(namespace, os.O_RDONLY)
    pid = fork()
    if pid == 0:
        try:
            setns(fd, int(CloneFlag.NEWNS))
            write_file(f"/proc/{PARAMETER}", "trap")
        finally:
            os._exit(0)
    os.close(fd)
    os.waitpid(pid, 0)


def test_a_parameter_is_not_written_into_a_trap(
    engine: Engine, rootfs: Path, trap: tuple[str, Path]
) -> None:
    namespace, caught = trap
    config = listed(
        rootfs,
        "true",
        namespaces=Namespaces(mount=namespace),
        sysctl={"kernel.domainname": "trap"},
    )
    with pytest.raises(ReconcilerError) as error:
        engine.create("c1", config).start()
    assert error.value.code is ErrorCode.StepFailed
    assert caught.read_text() == ""


def test_a_write_by_name_falls_into_the_traps(trap: tuple[str, Path]) -> None:
    namespace, caught = trap
    write_by_name(namespace)
    links = Path(f"/proc/{namespace.split('/')[2]}/mountinfo").read_text()
    is_other_part = " /fs /proc " in links
    assert caught.read_text() == ("" if is_other_part else "trap")


def test_the_score_of_a_process_is_not_written_into_a_trap(
    oci: Oci, write_spec: Callable[[dict[str, Any]], None], trap: tuple[str, Path]
) -> None:
    namespace, caught = trap
    spec = make_spec("/bin/true")
    spec["process"]["oomScoreAdj"] = 500
    spec["linux"]["sysctl"] = {"kernel.domainname": "trap"}
    for one in spec["linux"]["namespaces"]:
        if one["type"] == "mount":
            one["path"] = namespace
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.returncode != 0
    assert caught.read_text() == ""


@pytest.mark.parametrize("place", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/proc/1"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_nothing_is_mounted_over_proc_by_the_command_line(
    oci: Oci, write_spec: Callable[[dict[str, Any]], None], place: str, kind: str
) -> None:
    """CVE-2019-16884: a volume on /proc would catch what is written there."""
    spec = make_spec("/bin/true")
    spec["mounts"].append(
        {
            "destination": place,
            "type": kind,
            "source": "/srv",
            "options": ["rbind"][: kind == "bind"],
        }
    )
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.returncode != 0
    assert "procfs" in done.stderr


def test_the_console_is_the_terminal_that_was_opened(engine: Engine, rootfs: Path) -> None:
    """CVE-2025-52565: the image brings a /dev/pts and a /dev/console that lead elsewhere."""
    secret = rootfs / "etc/secret"
    secret.write_text("secret")
    (rootfs / "dev/pts").mkdir()
    (rootfs / "dev/pts/ptmx").symlink_to("/etc/secret")
    (rootfs / "dev/console").symlink_to("/etc/secret")
    mounts: tuple[MountSpec, ...] = tuple(one for one in KERNEL_FS if one.destination == "/proc")
    config = listed(rootfs, "true", mounts=mounts, terminal=(24, 80))
    with pytest.raises(ReconcilerError) as error:
        engine.create("c1", config).start()
    assert error.value.code is ErrorCode.StepFailed
    assert secret.read_text() == "secret"
