"""The whole loop on the real kernel: files become containers, drift is put right."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, ReconcilerError, Status
from reconciler.control.observe import observe
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode
from reconciler.linux.clock import wall_s
from reconciler.model.config import PidsLimits, Resources
from reconciler.planning.plan import PlanOptions
from tests.integration.conftest import output

pytestmark = pytest.mark.requires_root

SLEEP = "command: [/bin/sleep, '1000']\n"
AT_ONCE = "restart: {backoff: {initial: 0s}}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


def write(source: Path, name: str, text: str = SLEEP) -> None:
    (source / f"{name}.yaml").write_text(text)


def converge(engine: Engine, source: Path, **options: Any) -> list[str]:
    """Converge and return what was done, as `verb name`; nothing may be left to do."""
    report = Reconciler(engine, [str(source)], options=PlanOptions(**options)).converge()
    assert (report.plan.actions, report.plan.problems) == ((), ())
    assert [str(one.error) for one in report.outcomes if one.error is not None] == []
    return done(report)


def done(report: PassReport) -> list[str]:
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def wait_for_output(engine: Engine, name: str, lines: list[str]) -> None:
    """Wait until the monitor has written what a container wrote; the test's time limit ends it."""
    while output(engine, name) != lines:
        os.sched_yield()


def assert_keeps_running(engine: Engine, name: str) -> None:
    """A start that the kernel takes back at once (an old cgroup.kill) must not pass for one."""
    assert engine.load(name).wait(0.2) is None
    assert engine.load(name).status() is Status.RUNNING


def look(engine: Engine, source: Path) -> PassReport:
    return Reconciler(engine, [str(source)]).plan()


def shown(engine: Engine, source: Path, name: str) -> dict[str, Any]:
    (item,) = [one for one in status_items(look(engine, source)) if one["name"] == name]
    return item


def init_of(engine: Engine, name: str) -> int:
    init = engine.load(name).record.init
    assert init is not None
    return init.pid


def test_files_become_containers_and_then_there_is_nothing_to_do(
    engine: Engine, source: Path
) -> None:
    write(source, "web", SLEEP + "resources: {pids: {max: 20}, memory: {max: 64Mi}}\n")
    write(source, "frozen", SLEEP + "state: paused\n")
    write(source, "off", SLEEP + "state: stopped\n")
    assert converge(engine, source) == ["create frozen", "create off", "create web"]
    while engine.load("frozen").status() is Status.PAUSING:
        os.sched_yield()
    assert {one.id: one.status() for one in engine.list()} == {
        "frozen": Status.PAUSED,
        "off": Status.CREATED,
        "web": Status.RUNNING,
    }
    limits = engine.load("web").limits()
    assert (limits["resources.pids.max"], limits["resources.memory.max"]) == (20, 64 * 2**20)
    assert converge(engine, source) == []


def test_a_changed_limit_is_applied_to_the_same_process(engine: Engine, source: Path) -> None:
    write(source, "web", SLEEP + "resources: {pids: {max: 20}}\n")
    converge(engine, source)
    before = init_of(engine, "web")
    write(source, "web", SLEEP + "resources: {pids: {max: 30}}\n")
    assert converge(engine, source) == ["update web"]
    assert engine.load("web").limits()["resources.pids.max"] == 30
    assert init_of(engine, "web") == before
    write(source, "web")
    assert converge(engine, source) == ["update web"]
    assert engine.load("web").limits()["resources.pids.max"] is None


def test_a_limit_changed_behind_its_back_is_shown_and_put_right(
    engine: Engine, source: Path
) -> None:
    write(source, "web", SLEEP + "resources: {pids: {max: 20}}\n")
    converge(engine, source)
    cgroups = engine.load("web").record.cgroups
    engine.driver.apply(cgroups, Resources(pids=PidsLimits(max=99)), Resources())
    (action,) = look(engine, source).plan.actions
    assert action.describe() == "update web: resources.pids.max 99 -> 20"
    assert converge(engine, source) == ["update web"]
    assert engine.load("web").limits()["resources.pids.max"] == 20


def test_a_frozen_container_is_thawed(engine: Engine, source: Path) -> None:
    write(source, "web")
    converge(engine, source)
    engine.load("web").pause()
    assert converge(engine, source) == ["resume web"]
    assert engine.load("web").status() is Status.RUNNING


def test_a_killed_container_runs_again_and_the_restart_is_counted(
    engine: Engine, source: Path
) -> None:
    write(source, "web", SLEEP + AT_ONCE)
    converge(engine, source)
    before = init_of(engine, "web")
    os.kill(before, signal.SIGKILL)
    engine.load("web").wait(30)
    assert converge(engine, source) == ["start web"]
    assert init_of(engine, "web") != before
    assert_keeps_running(engine, "web")
    item = shown(engine, source, "web")
    assert (item["state"], item["restarts"]) == ("running", 1)


def test_a_crash_waits_for_its_backoff_and_says_so(engine: Engine, source: Path) -> None:
    write(
        source,
        "web",
        "command: [/bin/sh, -c, 'exit 3']\nrestart: {backoff: {initial: 1h, max: 1h}}\n",
    )
    converge(engine, source)
    engine.load("web").wait(30)
    assert converge(engine, source) == []
    item = shown(engine, source, "web")
    assert (item["state"], item["lastExit"]["code"], item["pid"]) == ("backoff", 3, None)


def test_a_new_command_restarts_it_and_keeps_the_log(engine: Engine, source: Path) -> None:
    text = "command: [/bin/sh, -c, 'echo {}; exec sleep 1000']\n"
    write(source, "web", text.format("one"))
    converge(engine, source)
    wait_for_output(engine, "web", ["one"])
    write(source, "web", text.format("two"))
    assert converge(engine, source) == ["restart web"]
    wait_for_output(engine, "web", ["one", "two"])
    assert_keeps_running(engine, "web")
    assert shown(engine, source, "web")["restarts"] == 0


def test_another_root_recreates_it(engine: Engine, source: Path, rootfs: Path) -> None:
    write(source, "web")
    converge(engine, source)
    write(source, "web", f"command: [/bin/sleep, '1000']\nrootfs: {{path: {rootfs}}}\n")
    assert converge(engine, source) == ["recreate web"]
    assert engine.load("web").config.rootfs.path == str(rootfs)
    assert converge(engine, source) == []


def test_a_job_runs_once_and_again_when_its_spec_changes(engine: Engine, source: Path) -> None:
    text = "kind: Job\ncommand: [/bin/sh, -c, 'echo {}']\n"
    write(source, "job", text.format("one"))
    assert converge(engine, source) == ["create job"]
    engine.load("job").wait(30)
    assert converge(engine, source) == []
    assert shown(engine, source, "job")["state"] == "completed"
    write(source, "job", text.format("two"))
    assert converge(engine, source) == ["start job"]
    engine.load("job").wait(30)
    assert output(engine, "job") == ["one", "two"]
    assert converge(engine, source) == []


def test_state_stopped_stops_it_and_state_running_starts_it_without_a_restart_counted(
    engine: Engine, source: Path
) -> None:
    write(source, "web")
    converge(engine, source)
    write(source, "web", SLEEP + "state: stopped\n")
    assert converge(engine, source) == ["stop web"]
    assert engine.load("web").status() is Status.STOPPED
    write(source, "web")
    assert converge(engine, source) == ["start web"]
    assert_keeps_running(engine, "web")
    assert shown(engine, source, "web")["restarts"] == 0


def test_a_stop_that_is_cut_off_is_finished_by_the_next_pass_as_no_failure(
    engine: Engine, source: Path
) -> None:
    """A reconciler that dies between the stop and the start of a restart leaves this behind."""
    write(source, "job", "kind: Job\ncommand: [/bin/sleep, '1000']\n")
    converge(engine, source)
    container = engine.load("job")
    container.annotate({"reconciler/restarts": '{"is_stopped": true}'})
    container.stop(signal.SIGTERM, 0)
    assert converge(engine, source) == ["start job"]
    assert_keeps_running(engine, "job")


def test_what_cannot_start_leaves_nothing_and_the_others_run(engine: Engine, source: Path) -> None:
    write(source, "typo", "command: [/bin/no-such-thing]\n")
    write(source, "rootless", "command: [/bin/sh]\nrootfs: {path: /no/such/root}\n")
    write(source, "web")
    report = Reconciler(engine, [str(source)]).converge()
    assert report.exit_code() == 1
    assert [one.id for one in engine.list()] == ["web"]
    assert engine.load("web").status() is Status.RUNNING
    assert {name: one.problem.name for name, one in report.world.failures.items()} == {
        "typo": "CommandNotFound",
        "rootless": "RootfsNotFound",
    }
    item = shown(engine, source, "typo")
    reasons = {one["type"]: one["reason"] for one in item["conditions"]}
    assert (item["state"], reasons["Running"]) == ("backoff", "CommandNotFound")
    write(source, "typo")
    (source / "rootless.yaml").unlink()
    assert converge(engine, source) == ["create typo"]
    assert os.listdir(engine.run_dir).count("failures.json") == 0


def test_invalid_files_leave_what_runs_untouched(engine: Engine, source: Path) -> None:
    write(source, "web")
    converge(engine, source)
    before = init_of(engine, "web")
    write(source, "web", "command: [/bin/sleep\n")
    report = Reconciler(engine, [str(source)]).converge()
    assert (done(report), report.exit_code()) == ([], 3)
    assert init_of(engine, "web") == before
    (valid,) = [one for one in shown(engine, source, "web")["conditions"] if one["type"] == "Valid"]
    assert valid["status"] == "False"
    assert str(source / "web.yaml") in valid["message"]


def test_deleted_files_are_pruned_within_the_guards(engine: Engine, source: Path) -> None:
    for number in range(4):
        write(source, f"web{number}")
    converge(engine, source)
    (source / "web0.yaml").unlink()
    assert converge(engine, source) == ["destroy web0"]
    for number in range(1, 4):
        (source / f"web{number}.yaml").unlink()
    report = Reconciler(engine, [str(source)]).converge()
    assert (done(report), report.exit_code()) == ([], 4)
    assert len(converge(engine, source, allow_empty=True)) == 3
    assert engine.list() == []


def test_a_container_that_somebody_else_made_is_not_touched(engine: Engine, source: Path) -> None:
    write(source, "other")
    converge(engine, source)
    config = engine.load("other").config
    theirs = engine.create("web", config)
    theirs.start()
    write(source, "web", SLEEP + "user: '1:1'\n")
    report = Reconciler(engine, [str(source)]).converge()
    assert (done(report), report.exit_code()) == ([], 4)
    assert theirs.status() is Status.RUNNING


def test_a_container_whose_record_is_broken_is_replaced(engine: Engine, source: Path) -> None:
    write(source, "web")
    converge(engine, source)
    before = init_of(engine, "web")
    path = os.path.join(engine.store.directory("web"), "state.json")
    Path(path).write_text("{")
    assert converge(engine, source) == ["recreate web"]
    assert init_of(engine, "web") != before
    assert not os.path.exists(f"/proc/{before}")
    assert converge(engine, source) == []


def test_one_reconciler_at_a_time(engine: Engine, source: Path) -> None:
    write(source, "web")
    with engine.lock(0), pytest.raises(ReconcilerError) as caught:
        Reconciler(engine, [str(source)]).converge(lock_timeout_s=0)
    assert caught.value.code is ErrorCode.LockTimeout
    assert converge(engine, source) == ["create web"]


def test_two_reconcilers_at_once_end_in_one_container_each(engine: Engine, source: Path) -> None:
    for number in range(5):
        write(source, f"web{number}")
    errors: list[BaseException] = []

    def run() -> None:
        try:
            converge(engine, source)
        except BaseException as error:  # noqa: BLE001  (handed to the test's own thread)
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(engine.list()) == 5


def test_a_plan_and_a_status_are_json(engine: Engine, source: Path) -> None:
    write(source, "web")
    converge(engine, source)
    write(source, "web", SLEEP + "user: '1:1'\nmounts: [{type: tmpfs, target: /tmp}]\n")
    report = look(engine, source)
    json.dumps(report.plan.to_json())
    json.dumps(status_items(report))
    assert observe(engine, wall_s).containers["web"].status is Status.RUNNING
