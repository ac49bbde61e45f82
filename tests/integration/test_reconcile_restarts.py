"""Crash loops, permanent exit codes and deadlines of jobs, with real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import FAILED, PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode
from reconciler.linux.clock import boot_s, wall_s

pytestmark = pytest.mark.requires_root

AT_ONCE = "backoff: {initial: 0s, max: 0s}, resetAfter: 1h"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


def converge(engine: Engine, source: Path) -> PassReport:
    return Reconciler(engine, [str(source)]).converge()


def one_pass(engine: Engine, source: Path, *, later_s: float, set_s: float = 0) -> PassReport:
    """Make a pass so much later, with the wall clock set forward meanwhile."""
    return Reconciler(
        engine,
        [str(source)],
        clock=lambda: wall_s() + later_s + set_s,
        boot_clock=lambda: boot_s() + later_s,
    ).run_pass()


def until_it_ends(engine: Engine, source: Path) -> PassReport:
    """Converge and await the end of what was started, until nothing is started any more."""
    while (report := converge(engine, source)).outcomes:
        engine.load("web").wait(30)
    return report


def done(report: PassReport) -> list[str]:
    return [one.action.verb for one in report.outcomes]


def shown(engine: Engine, source: Path) -> dict[str, Any]:
    (item,) = status_items(Reconciler(engine, [str(source)]).plan())
    return item


def test_a_crash_loop_ends_after_its_attempts_and_begins_anew_with_a_new_spec(
    engine: Engine, source: Path
) -> None:
    file = source / "web.yaml"
    text = f"command: [sh, -c, 'exit 3']\nrestart: {{maxAttempts: 2, {AT_ONCE}}}\n"
    file.write_text(text)
    report = until_it_ends(engine, source)
    assert [problem.code for problem in report.plan.problems] == [ErrorCode.CrashLoop]
    assert report.exit_code() == FAILED
    item = shown(engine, source)
    assert (item["state"], item["restarts"], item["lastExit"]["code"]) == ("failed", 2, 3)
    file.write_text(text.replace("exit 3", "exit 4"))
    assert done(converge(engine, source))[0] == "start"
    engine.load("web").wait(30)
    until_it_ends(engine, source)
    assert shown(engine, source)["lastExit"]["code"] == 4


def test_a_permanent_exit_code_is_not_tried_again(engine: Engine, source: Path) -> None:
    (source / "web.yaml").write_text(
        f"command: [sh, -c, 'exit 78']\nrestart: {{permanentExitCodes: [78], {AT_ONCE}}}\n"
    )
    report = until_it_ends(engine, source)
    assert (report.plan.problems, report.plan.waits) == ((), ())
    assert (shown(engine, source)["state"], shown(engine, source)["restarts"]) == ("failed", 0)


def test_a_job_is_stopped_at_its_deadline_and_retried(engine: Engine, source: Path) -> None:
    (source / "web.yaml").write_text(
        "kind: Job\ncommand: [sleep, '1000']\ndeadline: 1h\n"
        f"restart: {{policy: on-failure, maxAttempts: 1, {AT_ONCE}}}\n"
    )
    assert done(converge(engine, source)) == ["create"]
    assert done(converge(engine, source)) == []
    assert done(one_pass(engine, source, later_s=0, set_s=7200)) == []
    assert done(one_pass(engine, source, later_s=3600, set_s=-7200)) == ["stop"]
    assert done(converge(engine, source)) == ["start"]
    assert done(one_pass(engine, source, later_s=3601)) == ["stop"]
    report = converge(engine, source)
    assert report.outcomes == ()
    assert [problem.code for problem in report.plan.problems] == [ErrorCode.CrashLoop]
    assert "longer than its deadline of 1h" in report.plan.problems[0].message
    item = shown(engine, source)
    assert item["state"] == "failed"
    assert engine.load("web").processes() == []
