"""The command line as a program, on the real kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from tests.conftest import RunDirs
from tests.integration.conftest import Run

pytestmark = pytest.mark.requires_root


def items(run: Run, *arguments: object) -> dict[str, dict[str, Any]]:
    shown = json.loads(run("status", *arguments, "--output", "json").stdout)
    assert shown.keys() == {"items"}
    return {item["name"]: item for item in shown["items"]}


def write(source: Path, name: str, text: str) -> None:
    (source / name).write_text(text)


def log_records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_directory_is_applied_edited_and_destroyed(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\nresources: {pids: {max: 50}}\n')
    write(source, "db.yaml", 'command: [sleep, "1000"]\n')
    assert run("plan", source, "--detailed-exitcode", exits=2).stdout.endswith(
        "plan: 2 to create\n"
    )
    assert run("apply", source).stdout == "created db\ncreated web\n2 changes made\n"
    assert "nothing to do: 2 containers" in run("apply", source).stdout
    run("plan", source, "--detailed-exitcode", exits=0)

    before = items(run)
    write(source, "web.yaml", 'command: [sleep, "1000"]\nresources: {pids: {max: 60}}\n')
    assert "resources.pids.max 50 -> 60 (live)" in run("plan", source).stdout
    assert "updated web: resources.pids.max 50 -> 60" in run("apply", source).stdout
    assert items(run)["web"]["pid"] == before["web"]["pid"]

    (source / "db.yaml").unlink()
    assert "destroyed db: no file" in run("apply", source).stdout
    assert items(run).keys() == {"web"}
    assert "destroyed web" in run("destroy", "--all").stdout
    assert run("status").stdout.startswith("NAME") is False or "web" not in items(run)
    assert run("destroy", "--all").stdout == "no containers\n"


def test_status_takes_names_where_no_path_has_them(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    write(source, "db.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    assert items(run, "web").keys() == {"web"}
    assert items(run, source, "db").keys() == {"db"}
    told = run("status", "wbe", exits=1).stderr
    assert "cannot find wbe: it is no file or directory and no container; did you mean web?" in told


def test_status_has_the_shape_that_programs_rely_on(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    write(source, "job.yaml", 'kind: Job\ncommand: [sh, -c, "exit 0"]\n')
    run("apply", source)
    shown = items(run, source)
    fields = [
        "name",
        "kind",
        "source",
        "state",
        "pid",
        "restarts",
        "startedAt",
        "lastExit",
        "conditions",
    ]
    for item in shown.values():  # there may be more
        assert [name for name in item if name in fields] == fields
    web = shown["web"]
    assert (web["kind"], web["state"], web["restarts"]) == ("Container", "running", 0)
    assert web["source"] == str(source)
    assert Path(f"/proc/{web['pid']}").exists()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", web["startedAt"])
    assert web["lastExit"] is None
    for condition in web["conditions"]:
        assert list(condition) == ["type", "status", "reason", "message", "lastTransitionAt"]


def test_the_status_table_says_what_is_what(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    write(source, "bad.yaml", "command: 7\n")
    run("apply", source, exits=3)
    header, bad, web = run("status", source).stdout.splitlines()
    assert header.split() == [
        "NAME",
        "KIND",
        "STATE",
        "PID",
        "RESTARTS",
        "AGE",
        "LAST",
        "EXIT",
        "MESSAGE",
    ]
    assert bad.split()[:3] == ["bad", "Container", "invalid"]
    assert f"{source}/bad.yaml:1:10: command: " in bad
    assert web.split()[:3] == ["web", "Container", "running"]


def test_plan_has_the_shape_that_programs_rely_on(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    write(source, "bad.yaml", "command: 7\n")
    shown = json.loads(run("plan", source, "--output", "json", exits=3).stdout)
    assert set(shown) == {"actions", "waits", "problems", "unenforced"}
    assert shown["actions"] == [
        {"action": "create", "name": "web", "reason": "it does not exist", "changes": []}
    ]
    (problem,) = shown["problems"]
    assert list(problem) == ["code", "name", "message", "file", "line", "column", "field"]
    assert (problem["code"], problem["name"]) == (102, "SpecSchema")
    assert (problem["file"], problem["line"]) == (f"{source}/bad.yaml", 1)


def test_validate_tells_every_problem_and_exits_3(run: Run, source: Path) -> None:
    write(source, "good.yaml", "command: [id]\n")
    assert run("validate", source).stdout == "1 valid spec\n"
    write(source, "a.yaml", "command: 7\n")
    write(source, "b.yaml", "command: [id]\nworkdri: /\n")
    first, second, summary = run("validate", source, exits=3).stdout.splitlines()
    assert first.startswith(f"{source}/a.yaml:1:10: command: ")
    assert second.startswith(f"{source}/b.yaml:2:1: workdri: ")
    assert "did you mean 'workdir'?" in second
    assert summary == "1 valid spec, 2 problems"
    shown = json.loads(run("validate", source, "-o", "json", exits=3).stdout)
    assert (shown["valid"], shown["names"], len(shown["problems"])) == (False, ["good"], 2)


def test_a_failed_start_is_told_with_its_code_on_both_outputs(run: Run, source: Path) -> None:
    write(source, "bad.yaml", "command: [/no/such/command]\n")
    done = run("apply", source, exits=1)
    assert "(CommandNotFound 30; see: reconciler explain 30)" in done.stdout
    (record,) = [one for one in log_records(done) if one["level"] == "error"]
    known = {key: record[key] for key in ("code", "name", "container", "operation", "errno")}
    assert known == {
        "code": 30,
        "name": "CommandNotFound",
        "container": "bad",
        "operation": "start",
        "errno": "ENOENT",
    }
    shown = json.loads(run("apply", source, "--output", "json", exits=1).stdout)
    assert shown["actions"][0]["error"]["name"] == "CommandNotFound"


def test_guards_exit_4_and_say_how_to_go_on(run: Run, source: Path) -> None:
    for number in range(4):
        write(source, f"c{number}.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    for path in source.iterdir():
        path.unlink()
    assert "--allow-empty" in run("apply", source, exits=4).stdout
    write(source, "c0.yaml", 'command: [sleep, "1000"]\n')
    assert "--max-prune" in run("apply", source, exits=4).stdout
    assert "nothing to do" in run("apply", source, "--no-prune").stdout
    assert "3 changes made" in run("apply", source, "--max-prune", "75").stdout
    (source / "c0.yaml").unlink()
    run("apply", source, "--allow-empty")
    assert items(run) == {}


def test_a_source_that_is_missing_is_a_failure_and_prunes_nothing(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    source.rename(source.with_name("away"))
    assert "(SourceMissing 110)" in run("apply", source, exits=1).stdout
    assert items(run)["web"]["state"] == "running"


def test_the_lock_that_is_not_had_in_time_exits_5(run: Run, engine: Engine, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    with engine.lock(5):
        done = run("apply", source, "--timeout", "50ms", exits=5)
        assert run("plan", source).stdout.endswith("plan: 1 to create\n")
    assert done.stderr.startswith("error: cannot get the lock ")
    assert "(LockTimeout 151; see: reconciler explain 151)" in done.stderr


def test_a_dry_run_changes_nothing(run: Run, engine: Engine, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    assert run("apply", source, "--dry-run").stdout == run("plan", source).stdout
    assert engine.store.ids() == []


def test_logs_of_an_ended_container_can_be_read_in_parts(
    run: Run, engine: Engine, source: Path
) -> None:
    write(
        source,
        "job.yaml",
        "kind: Job\ncommand: [sh, -c, 'for i in 1 2 3; do echo line $i; done; echo oops >&2']\n",
    )
    run("apply", source)
    assert engine.load("job").start is not None
    engine.monitor.wait("job", 20)
    assert set(run("logs", "job").stdout.splitlines()) == {"line 1", "line 2", "line 3", "oops"}
    assert run("logs", "job", "--stream", "stdout", "--tail", "2").stdout == "line 2\nline 3\n"
    assert run("logs", "job", "--stream", "stderr").stdout == "oops\n"
    stamped = run("logs", "job", "--timestamps", "--stream", "stderr").stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z oops\n", stamped)
    assert run("logs", "job", "--since", "0s").stdout == ""
    lines = run("logs", "job", "--output", "json").stdout.splitlines()
    assert {json.loads(line)["text"] for line in lines} >= {"line 1", "oops"}


def test_logs_are_followed_until_the_container_is_destroyed(
    run: Run, run_dirs: RunDirs, source: Path
) -> None:
    write(source, "web.yaml", "command: [sh, -c, 'echo one; sleep 0.2; echo two; sleep 1000']\n")
    run("apply", source)
    follower = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "logs", "web", "-f"],
        env=os.environ | run_dirs.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
    run("destroy", "web")
    assert follower.wait(20) == 0
    follower.stdout.close()


def test_show_tells_spec_limits_and_places(run: Run, source: Path) -> None:
    write(
        source,
        "web.yaml",
        'command: [sleep, "1000"]\nenv: {A: x}\nresources: {memory: {max: 64Mi}}\n',
    )
    run("apply", source)
    shown = json.loads(run("show", "web", "--output", "json").stdout)
    assert shown["file"] == f"{source}/web.yaml:1"
    assert shown["limits"]["resources.memory.max"] == "64Mi"
    assert shown["spec"]["command"] == ["sleep", "1000"]
    assert shown["spec"]["env"] == {"A": "x"}
    assert shown["spec"]["resources"]["memory"] == {"max": "64Mi"}
    assert all(Path(path).is_dir() for path in shown["cgroups"].values())
    assert "state: running\n" in run("show", "web").stdout


def test_stats_tell_what_is_used(run: Run, source: Path) -> None:
    assert run("stats").stdout == "no container is running\n"
    write(source, "web.yaml", 'command: [sleep, "1000"]\nresources: {memory: {max: 64Mi}}\n')
    run("apply", source)
    (item,) = json.loads(run("stats", "--output", "json").stdout)["items"]
    assert item["name"] == "web"
    assert item["memory"]["limitBytes"] == 64 * 2**20
    assert item["pids"]["current"] == 1
    assert run("stats", "web").stdout.splitlines()[1].split()[0] == "web"


@pytest.mark.parametrize("verb", ["show", "logs", "stats", "destroy"])
def test_an_unknown_name_is_told_with_the_nearest(run: Run, source: Path, verb: str) -> None:
    write(source, "frontend.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    done = run(verb, "frontned", exits=1)
    told = done.stdout + done.stderr
    assert "cannot find container frontned: did you mean frontend?" in told
    assert "(NameNotFound 153; see: reconciler explain 153)" in told


def test_destroy_goes_on_after_a_name_that_is_unknown(run: Run, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    shown = json.loads(run("destroy", "nope", "web", "--output", "json", exits=1).stdout)
    assert [(one["name"], one["destroyed"]) for one in shown["items"]] == [
        ("nope", False),
        ("web", True),
    ]
    assert shown["items"][0]["error"]["name"] == "NameNotFound"


def test_a_damaged_record_does_not_hinder_destroy(run: Run, engine: Engine, source: Path) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    Path(engine.store.directory("web"), "state.json").write_text("{")
    assert "(RecordCorrupt 41" in run("show", "web", exits=1).stderr
    assert run("destroy", "web").stdout == "destroyed web\n"
    assert engine.store.ids() == []


def test_a_change_that_needs_a_restart_leaves_the_container_running(
    run: Run, engine: Engine, source: Path
) -> None:
    write(source, "web.yaml", 'command: [sleep, "1000"]\n')
    run("apply", source)
    pid = items(run)["web"]["pid"]
    write(source, "web.yaml", 'command: [sleep, "1000"]\nenv: {A: x}\n')
    assert "restarted web: env.A none -> (hidden)" in run("apply", source).stdout
    web = items(run)["web"]
    assert (web["state"], web["restarts"]) == ("running", 0)
    assert web["pid"] != pid
    assert engine.load("web").config.env == {"A": "x"}
