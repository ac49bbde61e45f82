"""Fields of isolation in spec files: what the kernel shows of them, what a change of one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler import Engine

pytestmark = pytest.mark.requires_root

Apply = Callable[..., subprocess.CompletedProcess[str]]
SLEEP = "command: [/bin/sleep, '1000']\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


@pytest.fixture
def reconciler(engine: Engine) -> Apply:
    places = ["--run-dir", engine.run_dir, "--state-dir", engine.state_dir]

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reconciler", *places, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def applied(engine: Engine, reconciler: Apply, source: Path) -> Callable[[str], int]:
    """Return a function that applies fields of a spec; it returns the pid of the init."""

    def apply(fields: str) -> int:
        (source / "web.yaml").write_text(SLEEP + fields)
        done = reconciler("apply", str(source))
        assert done.returncode == 0, done.stdout + done.stderr
        assert reconciler("plan", "--detailed-exitcode", str(source)).returncode == 0
        init = engine.load("web").record.init
        assert init is not None
        return init.pid

    return apply


def inside(reconciler: Apply, *command: str) -> str:
    done = reconciler("exec", "web", "--", *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_domain_name_and_kernel_parameters_are_its_own(
    reconciler: Apply, applied: Callable[[str], int]
) -> None:
    somaxconn = Path("/proc/sys/net/core/somaxconn").read_text()
    applied("domainname: example.org\nsysctl: {net.core.somaxconn: 77, kernel.msgmax: 9000}\n")
    paths = ("kernel/domainname", "net/core/somaxconn", "kernel/msgmax")
    shown = inside(reconciler, "cat", *(f"/proc/sys/{path}" for path in paths))
    assert shown.split() == ["example.org", "77", "9000"]
    assert Path("/proc/sys/net/core/somaxconn").read_text() == somaxconn


def test_a_parameter_of_the_whole_host_is_refused_before_the_old_run_ends(
    engine: Engine, reconciler: Apply, applied: Callable[[str], int], source: Path
) -> None:
    pid = applied("sysctl: {net.core.somaxconn: 77}\n")
    (source / "web.yaml").write_text(f"{SLEEP}sysctl: {{vm.swappiness: 1}}\n")
    done = reconciler("apply", str(source))
    assert done.returncode == 1
    assert "whole host" in done.stdout + done.stderr
    init = engine.load("web").record.init
    assert init is not None
    assert init.pid == pid


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "cgroup"])
def test_a_namespace_is_its_own_the_hosts_or_joined(
    applied: Callable[[str], int], kind: str
) -> None:
    def shown(mode: str) -> str:
        pid = applied(f"namespaces: {{{kind}: {mode}}}\n")
        return os.readlink(f"/proc/{pid}/ns/{kind}")

    host = os.readlink(f"/proc/self/ns/{kind}")
    assert shown("private") != host
    assert shown("host") == host
    command = ["unshare", f"--{kind}", "--fork", "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text()
        inner = children.split()[0]
        path = f"/proc/{inner}/ns/{kind}"
        wanted = os.readlink(path)
        assert wanted != host
        assert shown(path) == wanted
        os.kill(int(inner), 9)


@pytest.fixture
def blue() -> Iterator[str]:
    """Give a network namespace with a name, as `ip netns add` makes it."""
    name = f"rc-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.requires_command("ip")
def test_a_network_is_joined_by_its_path(applied: Callable[[str], int], blue: str) -> None:
    pid = applied(f"namespaces: {{network: {blue}}}\n")
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(blue).st_ino


def test_the_hosts_name_is_not_mended_where_it_is_shared(
    reconciler: Apply, applied: Callable[[str], int], source: Path
) -> None:
    name = os.uname().nodename
    applied("namespaces: {uts: host}\n")
    assert reconciler("drift", str(source)).stdout == "no drift\n"
    assert reconciler("apply", str(source)).returncode == 0
    assert os.uname().nodename == name


def test_the_mask_of_new_files_is_as_given(applied: Callable[[str], int]) -> None:
    for fields, shown in (("umask: '0027'\n", "0027"), ("", "0022")):
        assert f"Umask:\t{shown}\n" in Path(f"/proc/{applied(fields)}/status").read_text()


def test_scheduling_and_io_priority_are_as_given(applied: Callable[[str], int]) -> None:
    pid = applied("scheduler: {policy: BATCH, nice: 7}\nioPriority: {class: IDLE}\n")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert (fields[16], os.sched_getscheduler(pid)) == ("7", os.SCHED_BATCH)
    shown = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "idle"
    assert os.sched_getscheduler(applied("scheduler: {policy: IDLE}\n")) == os.SCHED_IDLE


def test_masked_and_read_only_paths_replace_the_engines_own(
    engine: Engine, applied: Callable[[str], int]
) -> None:
    def points(pid: int) -> dict[str, str]:
        rows = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        return {row.split()[4]: row.split()[5] for row in rows}

    default = points(applied(""))
    assert "/proc/timer_list" in default
    assert default["/proc/sys"].startswith("ro")
    given = points(applied("maskedPaths: [/proc/meminfo]\nreadonlyPaths: []\n"))
    assert "/proc/meminfo" in given
    assert not {"/proc/timer_list", "/proc/sys"} & set(given)
    assert engine.run_dir.startswith("/tmp") or engine.run_dir in given  # hidden in any case


def test_any_number_of_paths_can_be_masked_and_made_read_only(
    applied: Callable[[str], int],
) -> None:
    names = sorted(os.listdir("/proc/sys/kernel"))[:90]
    masked = [f"/proc/sys/kernel/{name}" for name in names[:60]]
    readonly = [f"/proc/sys/kernel/{name}" for name in names[60:]]
    pid = applied(f"maskedPaths: {json.dumps(masked)}\nreadonlyPaths: {json.dumps(readonly)}\n")
    rows = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    points = [row.split()[4] for row in rows]
    assert {*masked, *readonly} <= set(points)
    assert {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm"} <= set(points)


@pytest.mark.skipif(
    os.path.exists("/sys/kernel/security/apparmor") or os.path.exists("/sys/fs/selinux"),
    reason="this host has a module for labels",
)
def test_a_label_that_the_host_cannot_give_is_refused_or_left_out_and_said(
    reconciler: Apply, applied: Callable[[str], int], source: Path
) -> None:
    label = "security: {apparmorProfile: web}\n"
    (source / "web.yaml").write_text(SLEEP + label)
    done = reconciler("apply", str(source))
    assert done.returncode == 1
    assert "AppArmor" in done.stdout + done.stderr
    applied(label + "enforcement: {security.apparmorProfile: preferred}\n")
    assert "security.apparmorProfile" in reconciler("status", str(source)).stdout


def test_where_a_value_comes_from_is_shown_and_what_it_is(
    reconciler: Apply, applied: Callable[[str], int], source: Path
) -> None:
    applied("umask: '0027'\nscheduler: {policy: BATCH, nice: 7}\nsysctl: {kernel.msgmax: 9000}\n")
    merged = reconciler("show", "--merged", "web", str(source)).stdout
    assert f"{source}/web.yaml:2" in merged
    shown = reconciler("show", "web").stdout
    for line in ("umask: '0027'", "scheduler: BATCH nice=7", "kernel.msgmax: '9000'"):
        assert line in shown
    (source / "web.yaml").write_text(f"{SLEEP}umask: '0077'\n")
    plan = reconciler("plan", str(source)).stdout
    assert "umask 0027 -> 0077 (restart)" in plan
    assert "sysctl.kernel.msgmax 9000 -> none (restart)" in plan


def test_a_device_is_a_bind_mount_that_may_be_one(
    reconciler: Apply, applied: Callable[[str], int]
) -> None:
    applied(
        "mounts:\n"
        "  - {type: bind, source: /dev/zero, target: /dev/mine, options: [dev]}\n"
        "  - {type: bind, source: /dev/zero, target: /tmp/not}\n"
    )
    assert inside(reconciler, "sh", "-c", "head -c 3 /dev/mine | wc -c") == "3"
    denied = reconciler("exec", "web", "--", "head", "-c", "3", "/tmp/not")
    assert "Permission denied" in denied.stderr


MAPPED = """\
namespaces: {user: private}
uidMappings: [{containerID: 0, hostID: 524288, size: 65536}]
gidMappings: [{containerID: 0, hostID: 624288, size: 65536}]
"""


def test_root_inside_is_an_ordinary_user_outside(
    reconciler: Apply, applied: Callable[[str], int]
) -> None:
    pid = applied(MAPPED + "user: '0:0'\n")
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "524288", "65536"]
    assert Path(f"/proc/{pid}/gid_map").read_text().split() == ["0", "624288", "65536"]
    assert os.stat(f"/proc/{pid}").st_uid == 524288
    assert inside(reconciler, "id", "-u") == "0"
    shadow = reconciler("exec", "web", "--", "cat", "/etc/shadow")
    assert "Permission denied" in shadow.stderr
    points = Path(f"/proc/{pid}/mountinfo").read_text()
    assert " /proc/timer_list " in points
    assert " /proc/sys ro," in points


def test_files_of_its_root_file_system_are_its_own_in_a_user_namespace(
    reconciler: Apply, applied: Callable[[str], int], rootfs: Path
) -> None:
    applied(MAPPED + f"rootfs: {{path: {rootfs}, readonly: false}}\n")
    assert inside(reconciler, "/bin/stat", "-c", "%u %g", "/etc/passwd") == "0 0"
    inside(reconciler, "/bin/touch", "/srv/made")
    made = (rootfs / "srv/made").stat()
    assert (made.st_uid, made.st_gid) == (0, 0)
    mounts = inside(reconciler, "/bin/sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo")
    assert {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"} <= set(mounts.split())


def test_what_cannot_go_together_with_a_user_namespace_is_said_at_its_place(
    reconciler: Apply, source: Path
) -> None:
    (source / "one.yaml").write_text(f"{SLEEP}namespaces: {{user: private}}\n")
    told = reconciler("validate", str(source)).stdout
    assert "uidMappings: the field is missing" in told


def test_an_overlay_in_a_user_namespace_has_its_own_ids_and_keeps_what_is_written(
    reconciler: Apply, applied: Callable[[str], int], rootfs: Path, engine: Engine
) -> None:
    (rootfs / "srv" / "lower").write_text("below\n")
    fields = MAPPED + f"user: '0:0'\nrootfs: {{path: {rootfs}, overlay: true}}\n"
    pid = applied(fields)
    assert os.stat(f"/proc/{pid}").st_uid == 524288
    assert inside(reconciler, "/bin/stat", "-c", "%u %g", "/srv/lower", "/") == "0 0\n0 0"
    inside(reconciler, "/bin/sh", "-c", "echo changed > /srv/lower; echo new > /srv/made")
    assert (rootfs / "srv" / "lower").read_text() == "below\n"
    assert not (rootfs / "srv" / "made").exists()
    upper = Path(engine.state_dir) / "overlay" / "web" / "upper" / "srv"
    assert (upper / "made").read_text() == "new\n"
    assert (upper / "made").stat().st_uid == 0
    assert reconciler("restart", "web").returncode == 0
    assert inside(reconciler, "/bin/cat", "/srv/lower") == "changed"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        assert str(rootfs) not in line.split()[4]  # nothing is left among the host's mounts
