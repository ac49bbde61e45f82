"""Containers that depend on one another, as a user has them: order, waiting, restarts, cycles."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, Result, shell, sleeper
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.requires_root

EXAMPLE = Path(__file__).parents[2] / "examples/ordered"


def events(reconciler: Instance) -> list[str]:
    """Return all that was done so far, as `create web`, in order."""
    lines = reconciler.run("events").out.splitlines()
    return [" ".join(line.split()[1:3]) for line in lines if "probe" not in line]


def done(result: Result) -> list[str]:
    return [f"{one['action']} {one['name']}" for one in result.json["actions"]]


def test_the_example_starts_in_order_waiting_for_probe_and_job(reconciler: Instance) -> None:
    for file in EXAMPLE.iterdir():
        shutil.copy(file, reconciler.source)
    planned = reconciler.run("plan", reconciler.source).out
    assert "web: it waits for db to be ready: it is yet to be started" in planned
    applied = reconciler.apply("--output", "json")
    assert done(applied) == ["create db", "create migrate", "create web"]
    assert applied.json["waits"] == []
    assert reconciler.logs("migrate") == ["the tables are made"]
    assert reconciler.is_converged()
    reconciler.run("destroy", "db", "migrate", "web")
    gone = [event for event in events(reconciler) if event.startswith("destroy")]
    assert gone == ["destroy web", "destroy migrate", "destroy db"]


def test_only_what_declares_it_restarts_with_what_it_depends_on(reconciler: Instance) -> None:
    reconciler.write("db.yaml", sleeper())
    reconciler.write("app.yaml", sleeper(dependsOn={"db": {"restart": True}}))
    reconciler.write("web.yaml", sleeper(dependsOn={"app": {"restart": True}}))
    reconciler.write("other.yaml", sleeper(dependsOn={"db": "started"}))
    assert done(reconciler.apply("-o", "json"))[0] == "create db"
    other = reconciler.pid("other")
    reconciler.run("restart", "db")
    assert done(reconciler.apply("-o", "json")) == ["stop web", "restart app", "start web"]
    assert reconciler.is_converged()
    reconciler.write("db.yaml", sleeper(env={"A": "1"}))
    assert done(reconciler.apply("-o", "json")) == [
        *("stop web", "stop app", "restart db", "start app", "start web"),
    ]
    assert reconciler.is_converged()
    assert reconciler.pid("other") == other


def test_watch_restarts_what_declares_it_after_a_crash(reconciler: Instance) -> None:
    reconciler.write("db.yaml", sleeper(restart={"backoff": {"initial": "0s"}}))
    reconciler.write("web.yaml", sleeper(dependsOn={"db": {"restart": True}}))
    with reconciler.watching():
        reconciler.wait_for("web", state="running")
        before, web = reconciler.pid("db"), reconciler.pid("web")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: reconciler.item("web")["pid"] not in (None, web), "web restarts")
        assert reconciler.pid("db") != before
        again = reconciler.pid("web")
    assert reconciler.is_converged()
    assert reconciler.pid("web") == again


def test_a_long_chain_of_jobs_runs_in_one_apply(reconciler: Instance) -> None:
    names = [f"j{number:02}" for number in range(9, -1, -1)]
    for name, before in zip(names, [None, *names], strict=False):
        needs = {"dependsOn": {before: "completed"}} if before else {}
        reconciler.write(f"{name}.yaml", {"kind": "Job", "command": ["true"], **needs})
    assert done(reconciler.apply("-o", "json")) == [f"create {name}" for name in names]


def test_what_never_comes_is_named_and_apply_fails(reconciler: Instance) -> None:
    reconciler.write("job.yaml", {"kind": "Job", "command": ["false"]})
    reconciler.write("web.yaml", sleeper(dependsOn={"job": "completed", "dbx": "started"}))
    reconciler.write("db.yaml", sleeper())
    result = reconciler.apply(exits=1)
    assert "it waits for dbx to be started: no file gives this name; did you mean db?" in result.out
    assert "it waits for job to be completed: it ended (exit code 1)" in result.out
    assert "still waiting for others: web" in result.out
    item = reconciler.items(reconciler.source)["web"]
    assert item["state"] == "waiting"
    why = reconciler.run("why", "web").out if "web" in reconciler.items() else ""
    assert not why or "it waits for job to be completed" in why
    reconciler.write("job.yaml", {"kind": "Job", "command": ["true"]})
    reconciler.write("web.yaml", sleeper(dependsOn={"job": "completed", "db": "started"}))
    assert done(reconciler.apply("-o", "json")) == ["start job", "create web"]


def test_apply_waits_no_longer_than_it_is_told_and_the_next_one_goes_on(
    reconciler: Instance,
) -> None:
    script = "trap 'exit 0' TERM; echo it can be told; sleep inf & wait"
    reconciler.write("job.yaml", shell(script, kind="Job"))
    reconciler.write("web.yaml", sleeper(dependsOn={"job": "completed"}))
    waited = reconciler.apply("--wait", "100ms", exits=1)
    assert "it waits for job to be completed: it still runs" in waited.out
    reconciler.wait_for_log("job", "it can be told")
    os.kill(reconciler.pid("job"), signal.SIGTERM)
    reconciler.wait_for("job", state="completed")
    assert done(reconciler.apply("--wait", "0s", "-o", "json")) == ["create web"]


def test_what_cannot_be_started_is_not_waited_for(reconciler: Instance) -> None:
    patient = {"backoff": {"initial": "1h", "max": "1h"}}
    reconciler.write("db.yaml", {"command": ["/no/such"], "restart": patient})
    reconciler.write("web.yaml", sleeper(dependsOn={"db": "ready"}))
    result = reconciler.apply("--wait", "1h", exits=1)
    assert "! still waiting for others: web" in result.out
    assert [one["name"] for one in reconciler.plan(exits=1)["waits"]] == ["db", "web"]


def test_a_cycle_is_told_with_places_and_what_runs_runs_on(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(dependsOn={"db": "started"}))
    reconciler.write("db.yaml", sleeper())
    reconciler.apply()
    web, db = reconciler.pid("web"), reconciler.pid("db")
    path = reconciler.write("db.yaml", "command: [sleep, inf]\ndependsOn:\n  web: ready\n")
    result = reconciler.apply(exits=3)
    assert (
        f"{path}:3:3: dependsOn.web: the dependencies make a cycle: db -> web -> db" in result.out
    )
    assert "SpecCycle 106" in result.out
    assert (reconciler.pid("web"), reconciler.pid("db")) == (web, db)
    valid = next(one for one in reconciler.item("db")["conditions"] if one["type"] == "Valid")
    assert (valid["status"], valid["reason"]) == ("False", "SpecCycle")
