"""The life of a container in the engine: create, start, wait, pause, set, stop, destroy."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine, ReconcilerError, Status
from reconciler.cgroup.core import directories
from reconciler.engine import container as container_module
from reconciler.errors import ErrorCode
from reconciler.linux.proc import read_stat
from reconciler.model.config import CpuLimits, LogLimits, MemoryLimits, PidsLimits, Resources
from tests.integration.conftest import in_root, output, run, shell

pytestmark = pytest.mark.requires_root

READY = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"


def wait_for_output(engine: Engine, name: str, lines: int) -> list[str]:
    """Return the output once it has so many lines; the monitor writes it as it comes."""
    while len(seen := output(engine, name)) < lines:
        os.sched_yield()
    return seen


def code_of(error: pytest.ExceptionInfo[ReconcilerError]) -> ErrorCode:
    return error.value.code


def test_a_container_lives_from_created_to_destroyed(engine: Engine) -> None:
    container = engine.create("life", shell("exit 3"))
    assert container.status() is Status.CREATED
    exit_status = container.start().wait(30)
    assert exit_status is not None
    assert (exit_status.code, exit_status.signal, exit_status.oom) == (3, None, False)
    assert container.status() is Status.STOPPED
    container.destroy()
    assert container.status() is Status.DESTROYED
    assert not any(os.path.exists(path) for path in directories(container.record.cgroups))
    assert os.listdir(engine.store.containers_dir) == []


def test_start_returns_the_pid_of_the_init_in_its_cgroup(engine: Engine) -> None:
    container = engine.create("pid", shell("sleep 60 & wait"))
    process = container.start()
    pids = container.processes()
    assert process.pid in pids
    stat = read_stat(process.pid)
    assert stat is not None
    assert stat.is_alive()
    assert container.status() is Status.RUNNING


def test_a_stopped_container_starts_again_in_fresh_namespaces(engine: Engine) -> None:
    container, first = run(engine, shell("echo $$; echo x > /tmp/x; ls /tmp"))
    container.start().wait(30)
    assert output(engine, "c1") == first + first


def test_pause_freezes_and_resume_thaws(engine: Engine) -> None:
    container = engine.create("frozen", shell("while :; do echo tick; sleep 0.01; done"))
    container.start()
    wait_for_output(engine, "frozen", 2)
    container.pause()
    while container.status() is Status.PAUSING:
        os.sched_yield()
    assert container.status() is Status.PAUSED
    assert len(container.processes()) >= 1
    container.pause()  # idempotent
    with pytest.raises(ReconcilerError) as error:
        container.start()
    assert code_of(error) is ErrorCode.ContainerPaused
    container.resume()
    container.resume()
    assert container.status() is Status.RUNNING
    wait_for_output(engine, "frozen", len(output(engine, "frozen")) + 2)


def test_a_paused_container_can_be_destroyed(engine: Engine) -> None:
    container = engine.create("ice", shell("sleep 60"))
    pid = container.start().pid
    container.pause()
    container.destroy()
    assert read_stat(pid) is None


def test_signal_goes_to_the_init_alone(engine: Engine) -> None:
    script = "sh -c 'trap \"echo child\" USR1; while :; do sleep 0.05; done' & "
    script += "trap 'echo init; kill -9 -1; exit 4' USR1; echo ready; while :; do sleep 0.05; done"
    container = engine.create("sig", shell(script))
    process = container.start()
    wait_for_output(engine, "sig", 1)
    container.signal(signal.SIGUSR1)
    exit_status = process.wait(30)
    assert exit_status is not None
    assert exit_status.code == 4
    assert output(engine, "sig") == ["ready", "init"]


def test_stop_sends_the_signal_and_returns_the_exit(engine: Engine) -> None:
    container = engine.create("soft", shell(READY))
    container.start()
    wait_for_output(engine, "soft", 1)
    exit_status = container.stop(signal.SIGTERM, 30 * 10**9)
    assert exit_status is not None
    assert exit_status.code == 7


def test_stop_does_not_wait_for_an_init_that_cannot_hear_the_signal(engine: Engine) -> None:
    container = engine.create("deaf", shell("exec sleep 600"))
    container.start()
    # with a grace of ten minutes this test would time out if the grace were waited for
    exit_status = container.stop(signal.SIGTERM, 600 * 10**9)
    assert exit_status is not None
    assert exit_status.signal == signal.SIGKILL


def test_stop_kills_everything_after_the_grace(engine: Engine) -> None:
    container = engine.create(
        "stubborn",
        shell("trap '' TERM; trap 'echo no' TERM; " + "echo r; while :; do sleep 0.02; done"),
    )
    container.start()
    wait_for_output(engine, "stubborn", 1)
    exit_status = container.stop(signal.SIGTERM, 10**8)
    assert exit_status is not None
    assert exit_status.signal == signal.SIGKILL
    assert container.processes() == []


def test_limits_are_enforced_and_read_back(engine: Engine) -> None:
    resources = Resources(
        memory=MemoryLimits(max_bytes=64 * 2**20),
        cpu=CpuLimits(max_milli=1500, weight=200),
        pids=PidsLimits(max=20),
    )
    container = engine.create("limited", shell("sleep 60", resources=resources))
    container.start()
    limits = container.limits()
    assert limits == limits | engine.driver.canonical_limits(resources)
    assert limits["resources.memory.max"] == 64 * 2**20
    assert limits["resources.pids.max"] == 20


def test_set_changes_limits_of_a_running_container(engine: Engine) -> None:
    container = engine.create(
        "live", shell("sleep 60", resources=Resources(pids=PidsLimits(max=20)))
    )
    pid = container.start().pid
    container.set(Resources(pids=PidsLimits(max=40), memory=MemoryLimits(max_bytes=2**26)))
    assert container.limits()["resources.pids.max"] == 40
    container.set(Resources())
    assert container.limits()["resources.pids.max"] is None
    assert container.limits()["resources.memory.max"] is None
    stat = read_stat(pid)
    assert stat is not None
    assert stat.is_alive()
    assert engine.load("live").config.resources == Resources()


def test_an_oom_kill_is_told_apart_from_any_other_kill(engine: Engine) -> None:
    eat = "import sys; x = bytearray(200 * 2**20); print(len(x))"
    resources = Resources(memory=MemoryLimits(max_bytes=32 * 2**20))
    config = shell(f"exec /usr/bin/python3 -c '{eat}'", resources=resources)
    container = engine.create("greedy", config)
    exit_status = container.start().wait(60)
    assert exit_status is not None
    assert (exit_status.signal, exit_status.oom) == (signal.SIGKILL, True)
    other = engine.create("killed", shell("sleep 60"))
    process = other.start()
    other.signal(signal.SIGKILL)
    exit_status = process.wait(30)
    assert exit_status is not None
    assert (exit_status.signal, exit_status.oom) == (signal.SIGKILL, False)


def test_every_method_answers_destroyed_when_another_handle_has_destroyed_it(
    engine: Engine,
) -> None:
    container = engine.create("gone", shell("sleep 60"))
    container.start()
    engine.load("gone").destroy()
    calls: list[Callable[[], object]] = [
        container.start,
        container.pause,
        container.resume,
        container.processes,
        container.stats,
        container.refresh,
        lambda: container.signal(signal.SIGTERM),
        lambda: container.set(Resources()),
        lambda: container.annotate({"a": "b"}),
        lambda: container.stop(signal.SIGTERM, 0),
    ]
    for call in calls:
        with pytest.raises(ReconcilerError) as error:
            call()
        assert code_of(error) is ErrorCode.ContainerDestroyed
    container.destroy()
    assert container.status() is Status.DESTROYED


def test_a_name_in_use_is_refused_and_the_container_untouched(engine: Engine) -> None:
    container = engine.create("one", shell("sleep 60"))
    pid = container.start().pid
    with pytest.raises(ReconcilerError) as error:
        engine.create("one", shell("echo other"))
    assert code_of(error) is ErrorCode.IdInUse
    assert engine.load("one").record.init is not None
    stat = read_stat(pid)
    assert stat is not None
    assert stat.is_alive()


@pytest.mark.parametrize("name", ["", "a/b", "..", "../x", "-a", "a\0b", "x" * 1025, ".hidden"])
def test_a_bad_name_is_refused_by_create_and_load(engine: Engine, name: str) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: engine.create(name, shell("true")),
        lambda: engine.load(name),
    )
    for call in calls:
        with pytest.raises(ReconcilerError) as error:
            call()
        assert code_of(error) is ErrorCode.InvalidIdFormat
        assert len(str(error.value)) < 200


def test_starting_twice_is_refused(engine: Engine) -> None:
    container = engine.create("twice", shell("sleep 60"))
    container.start()
    with pytest.raises(ReconcilerError) as error:
        container.start()
    assert code_of(error) is ErrorCode.ContainerNotStopped


def test_operations_on_what_does_not_run_say_so(engine: Engine) -> None:
    container = engine.create("idle", shell("true"))
    for call in (container.pause, container.resume, lambda: container.signal(15), container.wait):
        with pytest.raises(ReconcilerError) as error:
            call()
        assert code_of(error) is ErrorCode.ContainerNotRunning
    assert container.stop(signal.SIGTERM, 0) is None


def test_threads_starting_and_destroying_do_not_disturb_each_other(engine: Engine) -> None:
    failures: list[BaseException] = []

    def live(number: int) -> None:
        try:
            for _ in range(3):
                container = engine.create(f"t{number}", shell(f"exit {number}"))
                exit_status = container.start().wait(60)
                assert exit_status is not None
                assert exit_status.code == number
                container.destroy()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_one_of_many_concurrent_destroys_does_it_and_all_return(engine: Engine) -> None:
    engine.create("many", shell("sleep 60")).start()
    handles = [engine.load("many") for _ in range(6)]
    failures: list[BaseException] = []

    def destroy(index: int) -> None:
        try:
            handles[index].destroy()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=destroy, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert engine.list() == []


def test_logs_are_stamped_and_rotated_and_bounded(engine: Engine, rootfs: Path) -> None:
    config = in_root(
        rootfs, "seq 1 3000; echo err >&2", logs=LogLimits(max_size_bytes=8192, max_files=3)
    )
    run(engine, config, "chatty")
    logs = Path(engine.state_dir, "logs", "chatty")
    files = sorted(logs.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size <= 8192 for file in files)
    newest = (logs / "log").read_text() + (logs / "log.1").read_text()
    assert "stdout F 3000\n" in newest
    assert " stderr F err\n" in newest


def test_stats_show_what_the_cgroup_uses(engine: Engine) -> None:
    container = engine.create(
        "busy", shell("x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done; echo; sleep 60")
    )
    container.start()
    wait_for_output(engine, "busy", 1)
    stats = container.stats()
    assert stats.cpu.usage_ns > 0
    assert stats.pids.current >= 1
    assert stats.memory.usage_bytes > 0


def test_a_container_that_was_killed_starts_again_with_its_present_limits(engine: Engine) -> None:
    container = engine.create(
        "again", shell("sleep 60", resources=Resources(pids=PidsLimits(max=9)))
    )
    container.start()
    container.stop(signal.SIGKILL, 0)
    container.reconfigure(shell("echo $((6*7)); sleep 60"))
    container.start()
    assert wait_for_output(engine, "again", 1) == ["42"]
    assert container.status() is Status.RUNNING
    assert container.limits()["resources.pids.max"] is None


def test_a_run_directory_with_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(ReconcilerError) as error:
        Engine(run_dir="/tmp/" + "x" * 100)
    assert code_of(error) is ErrorCode.ConfigInvalid
    assert "choose a shorter one" in str(error.value)


def test_what_an_interrupted_create_destroy_or_write_left_is_swept_by_the_next_pass(
    engine: Engine,
) -> None:
    engine.create("kept", shell("true"))
    (Path(engine.store.directory("kept")) / "state.json.tmp").write_text("{")
    ended = subprocess.Popen(["true"])
    ended.wait()
    containers = Path(engine.store.containers_dir)
    for name in (f".new-a-b-{ended.pid}-0", f".dead-c-{ended.pid}-1"):
        (containers / name).mkdir()
        (containers / name / "state.json").write_text("{}")
    at_work = containers / f".new-d-{os.getpid()}-2"
    at_work.mkdir()
    with engine.lock(1):
        assert sorted(os.listdir(containers)) == [at_work.name, "kept"]
        assert os.listdir(containers / "kept") == ["state.json"]
    at_work.rmdir()


def test_an_init_that_nobody_sees_end_after_its_kill_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "_KILL_PATIENCE_S", 0.2)
    container = engine.create("web", shell("exec sleep 1000"))
    container.start()
    monitor = engine.monitor.ping()["pid"]
    os.kill(monitor, signal.SIGSTOP)
    try:
        with pytest.raises(ReconcilerError) as caught:
            container.stop(signal.SIGKILL, 0)
        assert caught.value.code is ErrorCode.StopTimeout
        assert "did not end within" in str(caught.value)
    finally:
        os.kill(monitor, signal.SIGCONT)
    container.destroy()
    assert container.status() is Status.DESTROYED
