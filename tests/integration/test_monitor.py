"""The monitor: a lost one is replaced, what ran keeps running and logging, exits are known."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from reconciler import Engine, Status
from reconciler.linux.proc import read_stat
from reconciler.model.config import LogLimits
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

MANY = 20
TALK = "while read -r word < /run/none; do :; done 2>/dev/null; n=0; trap 'exit 5' TERM; "
TALK += "while :; do n=$((n+1)); echo line $n; sleep 0.02; done"


def kill_monitor(engine: Engine) -> int:
    """Kill the monitor with SIGKILL and wait until it is gone; return its pid."""
    pid = int(engine.monitor.ping()["pid"])
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    while engine.monitor.is_running():
        os.sched_yield()
    return pid


def wait_for_output(engine: Engine, name: str, lines: int) -> None:
    while len(output(engine, name)) < lines:
        os.sched_yield()


def test_twenty_containers_survive_a_killed_monitor_keep_logging_and_their_exits_are_known(
    engine: Engine,
) -> None:
    containers = [engine.create(f"c{number}", shell(TALK)) for number in range(MANY)]
    pids = [container.start().pid for container in containers]
    wait_for_output(engine, "c0", 2)
    first = kill_monitor(engine)
    assert all((stat := read_stat(pid)) is not None and stat.is_alive() for pid in pids)
    assert all(container.status() is Status.RUNNING for container in containers)
    seen = len(output(engine, "c0"))
    assert int(engine.monitor.ping()["pid"]) != first  # a new one, which adopts
    wait_for_output(engine, "c0", seen + 3)
    rows = output(engine, "c0")
    numbers = [int(row.split()[1]) for row in rows]
    # What the killed monitor had read and not yet written is lost: one chunk, here one line.
    missing = set(range(1, numbers[-1] + 1)) - set(numbers)
    assert numbers == sorted(set(numbers))
    assert len(missing) <= 1
    containers[0].signal(signal.SIGTERM)
    exit_status = containers[0].wait(30)
    assert exit_status is not None
    if _kernel_tells_exits_of_strangers():
        assert (exit_status.code, exit_status.signal) == (5, None)
    else:
        assert not exit_status.is_known()
    for container in containers:
        container.destroy()


def _kernel_tells_exits_of_strangers() -> bool:
    """PIDFD_GET_INFO with exit information is there since Linux 6.15."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    return (major, minor) >= (6, 15)


def test_an_exit_while_there_was_no_monitor_is_recorded_as_unknown(engine: Engine) -> None:
    container = engine.create("lost", shell("sleep 60"))
    pid = container.start().pid
    kill_monitor(engine)
    os.kill(pid, signal.SIGKILL)
    while read_stat(pid) is not None:  # its new parent, init, has to reap it
        os.sched_yield()
    assert container.status() is Status.STOPPED
    exit_status = container.wait(30)
    assert exit_status is not None
    assert not exit_status.is_known()
    assert exit_status.describe() == "exit status unknown"


def test_a_wait_goes_on_over_the_loss_of_the_monitor(engine: Engine) -> None:
    container = engine.create(
        "patient", shell("trap 'exit 9' TERM; echo r; while :; do sleep 0.02; done")
    )
    process = container.start()
    wait_for_output(engine, "patient", 1)
    events = engine.exits()
    kill_monitor(engine)
    assert events.read() is None  # the subscriber learns of the loss
    events.close()
    container.signal(signal.SIGTERM)
    assert process.wait(30) is not None


def test_the_monitor_cannot_be_reached_through_proc(engine: Engine) -> None:
    pid = int(engine.monitor.ping()["pid"])
    exe = os.readlink(f"/proc/{pid}/exe")
    assert "memfd:reconciler-python" in exe
    with pytest.raises(OSError, match=r"Operation not permitted|Text file busy"):
        os.write(os.open(f"/proc/{pid}/exe", os.O_RDWR), b"x")


def test_the_monitor_holds_no_descriptor_of_its_starter(engine: Engine, tmp_path: Path) -> None:
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    pid = int(engine.monitor.ping()["pid"])
    targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    os.close(leak)
    assert str(tmp_path) not in targets
    kinds = {target.split(":")[0].rstrip("0123456789") for target in targets}
    run_files = {f"{engine.run_dir}/monitor.log", f"{engine.run_dir}/monitor.lock", "/dev/null"}
    assert kinds <= {"socket", "anon_inode", *run_files}


def test_a_request_that_makes_no_sense_is_answered_and_does_no_harm(engine: Engine) -> None:
    engine.monitor.ping()
    for packet in (
        b"no json",
        b"[]",
        b"{}",
        b'{"op": "none"}',
        b'{"op": "start"}',
        b'{"op":"wait"}',
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(f"{engine.run_dir}/monitor.sock")
            sock.send(packet)
            answer = json.loads(sock.recv(65536))
            assert answer["error"]["errno"] == 22
    assert engine.monitor.ping()["containers"] == 0


def test_the_monitor_imports_no_heavy_module_and_has_one_thread(engine: Engine) -> None:
    pid = int(engine.monitor.ping()["pid"])
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "yaml" not in maps
    assert "rpds" not in maps


def test_a_full_disk_for_logs_is_reported_and_the_container_runs_on(
    engine: Engine, tiny_disk: Path
) -> None:
    small = Engine(run_dir=engine.run_dir, state_dir=str(tiny_disk))
    script = (
        "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo 0123456789012345678901234567890; done; "
    )
    container = small.create(
        "flood", shell(script + "exit 6", logs=LogLimits(max_size_bytes=2**24))
    )
    exit_status = container.start().wait(60)
    assert exit_status is not None
    assert exit_status.code == 6
    run = json.loads(Path(small.store.directory("flood"), "run.json").read_text())
    assert run["logLost"]["bytes"] > 0
    assert run["logLost"]["error"] == "No space left on device"
    rows = (tiny_disk / "logs/flood/log").read_bytes().split(b"\n")
    assert rows[-1] == b""  # no half line
    container.destroy()


def monitor_pid_at(engine: Engine) -> int:
    return int(engine.monitor.ping()["pid"])


def test_a_monitor_whose_socket_is_removed_listens_anew(engine: Engine) -> None:
    container = engine.create("one", shell("sleep 1000"))
    container.start()
    before = monitor_pid_at(engine)
    for _ in range(3):
        os.unlink(os.path.join(engine.run_dir, "monitor.sock"))
        assert monitor_pid_at(engine) == before
    os.rename(
        os.path.join(engine.run_dir, "monitor.sock"), os.path.join(engine.run_dir, "elsewhere")
    )
    assert monitor_pid_at(engine) == before
    container.destroy()
    assert before == monitor_pid_at(engine)


def test_a_monitor_makes_way_for_another_when_its_lock_is_removed_too(engine: Engine) -> None:
    container = engine.create("one", shell(TALK))
    init = container.start().pid
    first = monitor_pid_at(engine)
    pidfd = os.pidfd_open(first)
    os.unlink(os.path.join(engine.run_dir, "monitor.lock"))
    os.unlink(os.path.join(engine.run_dir, "monitor.sock"))
    assert monitor_pid_at(engine) != first
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(30_000)
    os.close(pidfd)
    seen = len(output(engine, "one"))
    wait_for_output(engine, "one", seen + 3)
    assert container.status() is Status.RUNNING
    os.kill(init, signal.SIGTERM)
    exit_status = container.wait(30)
    assert exit_status is not None
    assert exit_status.code == 5


def test_a_new_monitor_reads_on_though_the_fifos_were_removed(engine: Engine) -> None:
    engine.create("one", shell(TALK)).start()
    wait_for_output(engine, "one", 2)
    for name in ("stdout", "stderr"):
        os.unlink(os.path.join(engine.store.directory("one"), name))
    kill_monitor(engine)
    engine.ensure_monitor()
    seen = len(output(engine, "one"))
    wait_for_output(engine, "one", seen + 3)
    container = engine.load("one")
    container.signal(signal.SIGTERM)
    exit_status = container.wait(30)
    assert exit_status is not None
    assert exit_status.code == 5
    container.start()
    wait_for_output(engine, "one", len(output(engine, "one")) + 2)


def test_what_no_monitor_knows_of_can_be_destroyed(engine: Engine) -> None:
    """Its run file was damaged while there was no monitor, and mended since."""
    container = engine.create("one", shell("sleep 1000"))
    init = container.start().pid
    kill_monitor(engine)
    path = Path(engine.store.directory("one"), "run.json")
    run = path.read_bytes()
    path.write_bytes(b"")
    engine.monitor.ping()
    path.write_bytes(run)
    assert container.status() is Status.RUNNING
    container.destroy()
    assert read_stat(init) is None or not read_stat(init).is_alive()  # type: ignore[union-attr]


def test_an_init_of_a_lost_record_outside_its_cgroup_ends_before_another_starts(
    engine: Engine,
) -> None:
    container = engine.create("one", shell("sleep 1000"))
    init = container.start().pid
    for directory in set(container.record.cgroups.values()):
        Path(directory).parent.joinpath("cgroup.procs").write_text(str(init))
    Path(engine.store.directory("one"), "run.json").unlink()
    assert container.status() is Status.CREATED
    assert container.start().pid != init
    stat = read_stat(init)
    assert stat is None or not stat.is_alive()
    assert container.status() is Status.RUNNING


def test_a_start_finds_its_cgroup_anew_though_a_part_of_the_last_one_is_gone(
    engine: Engine,
) -> None:
    container = engine.create("one", shell("sleep 1000"))
    container.start()
    container.stop(signal.SIGKILL, 0)
    os.rmdir(next(iter(container.record.cgroups.values())))
    container.start()
    assert container.wait(0.2) is None
    assert container.status() is Status.RUNNING
