"""What others do to containers behind the reconciler's back: seen, named, mended by one pass."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.control.status import Item, status_items
from reconciler.linux.proc import is_same_process, read_stat
from reconciler.linux.uts import read_hostnames
from reconciler.model.record import Record
from reconciler.model.state import ProcessId, Status

pytestmark = pytest.mark.requires_root

SPEC = """\
command: [/bin/sleep, '1000']
oomScoreAdj: 100
resources: {memory: {max: 64Mi}, pids: {max: 20}}
restart: {backoff: {initial: 0s}}
"""


@dataclass
class Case:
    """One container of one file, and what a pass makes of it."""

    engine: Engine
    file: Path

    def look(self) -> PassReport:
        return Reconciler(self.engine, [str(self.file.parent)]).plan()

    def mend(self) -> list[str]:
        """Return what one pass did; afterwards nothing may be left to do."""
        report = Reconciler(self.engine, [str(self.file.parent)]).run_pass()
        assert [one.error for one in report.outcomes if one.error] == []
        assert report.plan.actions == ()
        assert self.record.id == "web"
        assert self.engine.load("web").status() is Status.RUNNING
        return [one.action.describe() for one in report.outcomes]

    def drift(self) -> list[tuple[str, str]]:
        _, found = Reconciler(self.engine, [str(self.file.parent)]).drift()
        return [(row.change.describe(), str(row.change.policy)) for row in found.get("web", ())]

    def condition(self, kind: str) -> Item:
        (item,) = status_items(self.look())
        return next(one for one in item["conditions"] if one["type"] == kind)

    @property
    def record(self) -> Record:
        return self.engine.load("web").record

    @property
    def init(self) -> ProcessId:
        init = self.record.init
        assert init is not None
        return init

    def path(self, name: str) -> Path:
        return Path(self.engine.run_dir, "containers", "web", name)

    def cgroup_file(self, *names: str) -> Path:
        """Return the first of some files that one of its cgroups has."""
        paths = (Path(path, name) for name in names for path in self.record.cgroups.values())
        return next(path for path in paths if path.exists())

    def kill_monitor(self) -> None:
        pid = self.engine.monitor.ping()["pid"]
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        wait_for_end(pidfd)

    def kill_init(self) -> None:
        pidfd = os.pidfd_open(self.init.pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        wait_for_end(pidfd)

    def edit_run(self, **changes: object) -> None:
        path = self.path("run.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def wait_for_end(pidfd: int) -> None:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(10_000)
    os.close(pidfd)


@pytest.fixture
def case(engine: Engine, tmp_path: Path) -> Case:
    file = tmp_path / "specs" / "web.yaml"
    file.parent.mkdir()
    file.write_text(SPEC)
    made = Case(engine, file)
    assert made.mend() == ["create web: it does not exist"]
    return made


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_a_changed_limit_is_put_right_in_the_same_process(case: Case) -> None:
    init = case.init
    case.cgroup_file("pids.max").write_text("7")
    assert case.drift() == [("resources.pids.max 7 -> 20", "enforce")]
    assert case.mend() == ["update web: resources.pids.max 7 -> 20"]
    assert case.init == init


def test_a_frozen_container_is_thawed(case: Case) -> None:
    frozen = case.cgroup_file("cgroup.freeze", "freezer.state")
    frozen.write_text("1" if frozen.name == "cgroup.freeze" else "FROZEN")
    assert case.drift() == [("state paused -> running", "enforce")]
    assert case.mend() == ["resume web: state paused -> running"]


def test_a_changed_oom_score_is_put_right(case: Case) -> None:
    Path(f"/proc/{case.init.pid}/oom_score_adj").write_text("900")
    assert case.mend() == ["update web: oomScoreAdj 900 -> 100"]


def test_a_changed_host_name_is_put_right_and_ours_stays(case: Case) -> None:
    ours, init = os.uname().nodename, case.init
    enter = ["nsenter", "--uts", "--target", str(init.pid), "hostname", "evil"]
    subprocess.run(enter, check=True)
    assert read_hostnames([init.pid]) == {init.pid: "evil"}
    assert case.drift() == [("hostname evil -> web", "enforce")]
    assert case.mend() == ["update web: hostname evil -> web"]
    assert read_hostnames([init.pid]) == {init.pid: "web"}
    assert case.init == init
    assert os.uname().nodename == ours


def test_a_foreign_process_in_the_cgroup_is_told_of_and_left_alone(
    case: Case, stranger: subprocess.Popen[bytes]
) -> None:
    for directory in set(case.record.cgroups.values()):
        Path(directory, "cgroup.procs").write_text(str(stranger.pid))
    told = f"{stranger.pid} sleep"
    assert case.drift() == [(f"processes [{told}] -> []", "report")]
    assert told in case.condition("Drifted")["message"]
    assert case.mend() == []
    assert stranger.poll() is None


def test_what_is_run_by_exec_and_its_children_are_no_strangers(case: Case) -> None:
    words = ["exec", "web", "--", "/bin/sh", "-c", "sleep 1000 & echo up; wait"]
    environment = os.environ | {
        "RECONCILER_RUN_DIR": case.engine.run_dir,
        "RECONCILER_STATE_DIR": case.engine.state_dir,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", *words], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert len(case.engine.load("web").processes()) > 1
        assert case.drift() == []
        process.kill()


def test_a_killed_init_is_started_again_by_the_restart_policy(case: Case) -> None:
    case.kill_init()
    (done,) = case.mend()
    assert done == "start web: it ended: killed by signal 9; restart 1"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(os.urandom(200)),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"id": "web"}'),
    ],
    ids=["removed", "emptied", "cut off", "garbage", "a list", "without its fields"],
)
@pytest.mark.parametrize("name", ["state.json", "run.json"])
def test_a_damaged_record_is_named_and_the_container_made_anew(
    case: Case, name: str, damage: Callable[[Path], None]
) -> None:
    before = case.init
    damage(case.path(name))
    report = case.look()
    (action,) = report.plan.actions
    assert action.verb in ("recreate", "start")
    if action.verb == "recreate":
        assert "cannot understand the record of container web" in action.reason
    case.mend()
    assert not is_same_process(before.pid, before.start_ticks)
    assert len(case.engine.load("web").processes()) == 1


def test_a_whole_record_that_was_removed_leaves_nothing_running_twice(case: Case) -> None:
    before = case.init
    for path in case.path("").iterdir():
        path.unlink()
    case.path("").rmdir()
    assert case.mend() == ["create web: it does not exist"]
    assert not is_same_process(before.pid, before.start_ticks)
    assert len(case.engine.load("web").processes()) == 1


def test_a_killed_monitor_is_replaced_and_what_runs_runs_on(case: Case) -> None:
    init = case.init
    case.kill_monitor()
    assert case.mend() == []
    assert case.init == init
    assert case.engine.monitor.is_running()


def test_after_a_reboot_a_container_is_started_and_that_is_no_failure(case: Case) -> None:
    case.kill_monitor()
    case.kill_init()
    case.edit_run(bootId="11111111-2222-3333-4444-555555555555", exit=None)
    assert case.engine.load("web").status() is Status.STOPPED
    (action,) = case.look().plan.actions
    assert (action.verb, action.reason) == ("start", "the host was booted anew")
    assert case.condition("Running")["reason"] == "Rebooted"
    case.mend()
    observed = case.look().world.containers["web"]
    assert (observed.memory.count, observed.memory.failures) == (0, 0)


def test_a_stranger_with_the_pid_of_an_init_is_never_signalled(
    case: Case, stranger: subprocess.Popen[bytes]
) -> None:
    case.kill_monitor()
    case.kill_init()
    stat = read_stat(stranger.pid)
    assert stat is not None
    case.edit_run(pid=stranger.pid, startTicks=stat.start_ticks - 1, exit=None)
    assert case.engine.load("web").status() is Status.STOPPED
    assert "exit status unknown" in case.condition("Running")["message"]
    (done,) = case.mend()
    assert done == "start web: it ended: exit status unknown; restart 1"
    assert case.init.pid != stranger.pid
    case.engine.load("web").destroy()
    assert stranger.poll() is None


def test_an_init_that_was_moved_to_another_cgroup_is_restarted_in_its_own(case: Case) -> None:
    before = case.init
    for directory in set(case.record.cgroups.values()):
        Path(directory).parent.joinpath("cgroup.procs").write_text(str(before.pid))
    assert case.drift() == [("cgroup none -> its own", "enforce")]
    assert case.mend() == ["restart web: cgroup none -> its own"]
    assert not is_same_process(before.pid, before.start_ticks)


def test_an_init_that_was_moved_in_one_hierarchy_alone_is_restarted_in_its_own(case: Case) -> None:
    for directory in sorted(set(case.record.cgroups.values())):
        before = case.init
        Path(directory).parent.joinpath("cgroup.procs").write_text(str(before.pid))
        assert case.mend() == ["restart web: cgroup none -> its own"]
        assert not is_same_process(before.pid, before.start_ticks)


def test_a_process_that_somebody_put_into_one_cgroup_of_it_is_in_no_ones_way(
    case: Case, stranger: subprocess.Popen[bytes]
) -> None:
    """A process has a place in each hierarchy: it is moved out where it would hold a cgroup."""
    for directory in set(case.record.cgroups.values()):
        if not directory.startswith("/sys/fs/cgroup/unified"):
            Path(directory, "cgroup.procs").write_text(str(stranger.pid))
    case.engine.load("web").destroy()
    assert stranger.poll() is None


def test_a_removed_cgroup_is_named_and_the_container_restarted_in_a_new_one(case: Case) -> None:
    before, cgroups = case.init, set(case.record.cgroups.values())
    for directory in cgroups:
        for pid in Path(directory, "cgroup.procs").read_text().split():
            Path(directory).parent.joinpath("cgroup.procs").write_text(pid)
        Path(directory).rmdir()
    assert case.drift() == [("cgroup none -> its own", "enforce")]
    (action,) = case.look().plan.actions
    assert action.reason == "it was taken out of its cgroup behind the reconciler's back"
    assert case.mend() == ["restart web: cgroup none -> its own"]
    assert not is_same_process(before.pid, before.start_ticks)
    assert all(os.path.isdir(directory) for directory in cgroups)


def unmount(case: Case, point: str) -> None:
    """Unmount what is mounted in the container, with the host's umount(2)."""
    target = os.open(f"/proc/{case.init.pid}/ns/mnt", os.O_RDONLY)
    child = "import ctypes, os, sys; libc = ctypes.CDLL(None)\n"
    child += "ok = libc.setns(int(sys.argv[1]), 0x20000) == 0\n"
    child += "sys.exit(not ok or libc.umount2(sys.argv[2].encode(), 2))"
    words = [sys.executable, "-c", child, str(target), point]
    subprocess.run(words, check=True, pass_fds=[target])
    os.close(target)


@pytest.mark.parametrize("point", ["/tmp", "/dev/shm", "/proc", "/tmp/deep/data"])
def test_what_was_unmounted_inside_is_named_and_mounted_again_by_a_restart(
    case: Case, point: str
) -> None:
    case.file.write_text(SPEC + "mounts: [{type: tmpfs, target: /tmp/deep/data}]\n")
    case.mend()
    before = case.init
    unmount(case, point)
    assert case.drift() == [(f"mounts none -> [{point}]", "enforce")]
    assert case.mend() == [f"restart web: mounts none -> [{point}]"]
    assert not is_same_process(before.pid, before.start_ticks)
    assert case.drift() == []


@pytest.mark.requires_command("busybox")
def test_mounts_that_are_reached_by_a_link_or_have_strange_names_are_no_drift(
    case: Case, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for name in ("bin", "proc", "sys", "dev", "data"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/sleep")
    (root / "link").symlink_to("/data")
    mounts = "[{type: tmpfs, target: /link}, {type: tmpfs, target: '/with space'}]"
    case.file.write_text(f"{SPEC}rootfs: {{path: {root}}}\nmounts: {mounts}\n")
    case.mend()
    assert case.drift() == []
    unmount(case, "/data")
    assert case.drift() == [("mounts none -> [/link]", "enforce")]


def forget(case: Case) -> ProcessId:
    """Have everybody forget a container that runs: record, monitor, spec; return its init."""
    init = case.init
    shutil.rmtree(case.path(""))
    pidfd = os.pidfd_open(case.engine.monitor.ping()["pid"])
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    wait_for_end(pidfd)
    case.file.unlink()
    case.file.with_name("other.yaml").write_text(SPEC)
    return init


def run_pass(case: Case) -> None:
    report = Reconciler(case.engine, [str(case.file.parent)]).run_pass()
    assert [one.error for one in report.outcomes if one.error] == []


@pytest.mark.parametrize("place", ["its own", "the instance's", "another container's"])
def test_a_run_that_nothing_knows_of_any_more_is_ended(
    case: Case, place: str, stranger: subprocess.Popen[bytes]
) -> None:
    other = case.engine.create("other", case.record.config)
    other.start()
    for directory in set(case.record.cgroups.values()):
        above = Path(directory).parent
        where = {"its own": "web", "the instance's": ".", "another container's": "other"}[place]
        (above / where / "cgroup.procs").write_text(str(case.init.pid))
        if place == "the instance's":
            (above / "cgroup.procs").write_text(str(stranger.pid))
    cgroups = case.record.cgroups
    init = forget(case)
    case.file.with_name("other.yaml").unlink()
    case.file.with_name("third.yaml").write_text(SPEC)
    run_pass(case)
    assert not is_same_process(init.pid, init.start_ticks)
    assert not any(map(os.path.exists, cgroups.values())) or place != "its own"
    assert other.status() is Status.RUNNING
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_known_init_that_was_moved_is_not_taken_for_an_orphan(case: Case) -> None:
    other = case.engine.create("other", case.record.config)
    other.start()
    init = other.record.init
    assert init is not None
    for directory in set(case.record.cgroups.values()):
        Path(directory, "cgroup.procs").write_text(str(init.pid))
    run_pass(case)
    assert is_same_process(init.pid, init.start_ticks)
