"""The command line's contract: JSON shapes, exit codes, tables, and each verb's answer."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import lend
from tests.e2e.instance import PROBLEM_KEYS, Instance, Json, shell, sleeper
from tests.e2e.waiting import wait_until

ITEM_KEYS = {
    "name", "kind", "source", "generation", "observedGeneration", "state", "pid", "restarts",
    "startedAt", "lastExit", "conditions",
}  # fmt: skip
EXIT_KEYS = {"code", "signal", "oom", "at", "text", "memory"}
CONDITION_KEYS = {"type", "status", "reason", "message", "lastTransitionAt"}
ACTION_KEYS = {"action", "name", "reason", "changes"}
CHANGE_KEYS = {"field", "desired", "observed", "class"}
CLASSES = {"live", "restart", "recreate", "never"}
VERBS = [
    "validate",
    "plan",
    "apply",
    "watch",
    "status",
    "show",
    "logs",
    "stats",
    "destroy",
    "explain",
    "schema",
    "version",
]


@pytest.fixture(scope="module")
def shared(busybox: Path) -> Iterator[Instance]:
    """Start containers of each kind, for the tests that only look."""
    del busybox
    for instance in lend():
        script = "echo out 1; echo err 1 >&2; echo out 2; printf unfinished; exec sleep inf"
        limits = {"memory": {"max": "64Mi"}, "pids": {"max": 32}}
        instance.write("web.yaml", shell(script, resources=limits))
        instance.write("off.yaml", sleeper(state="stopped"))
        instance.write("done.yaml", shell("exit 4", kind="Job"))
        instance.apply(exits=None)
        wait_until(lambda i=instance: i.item("done")["lastExit"], "the job ends")  # type: ignore[misc]
        instance.wait_for_log("web", "out 2")
        yield instance


def is_utc(text: str) -> bool:
    """Tell whether a text is an RFC 3339 time in UTC."""
    return text.endswith("Z") and datetime.fromisoformat(text.replace("Z", "+00:00")) is not None


def test_status_as_json_has_the_shape_that_programs_rely_on(shared: Instance) -> None:
    value = shared.run("status", "--output", "json").json
    assert set(value) == {"items"}
    items = {item["name"]: item for item in value["items"]}
    assert set(items) == {"done", "off", "web"}
    for item in items.values():
        assert set(item) == ITEM_KEYS
        assert item["source"] == str(shared.source)
        assert isinstance(item["restarts"], int)
        for condition in item["conditions"]:
            assert set(condition) == CONDITION_KEYS
            assert condition["status"] in ("True", "False", "Unknown")
    assert items["web"]["state"] == "running"
    assert is_utc(items["web"]["startedAt"])
    assert items["web"]["lastExit"] is None
    assert items["off"]["pid"] is None
    assert items["done"]["kind"] == "Job"
    assert set(items["done"]["lastExit"]) == EXIT_KEYS
    assert items["done"]["lastExit"]["code"] == 4
    assert is_utc(items["done"]["lastExit"]["at"])


def test_plan_as_json_has_the_shape_that_programs_rely_on(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    limits = {"memory": {"max": "64Mi"}}
    reconciler.write(
        "web.yaml",
        sleeper(command=["/bin/sleep", "5000"], labels={"a": "b"}, resources=limits, hostname="h"),
    )
    reconciler.write("bad.yaml", "comand: [x]\n")
    plan = reconciler.plan(exits=3)
    assert set(plan) == {"actions", "waits", "problems", "unenforced"}
    for action in plan["actions"]:
        assert set(action) == ACTION_KEYS
        for change in action["changes"]:
            assert set(change) == CHANGE_KEYS
            assert change["class"] in CLASSES
    assert plan["problems"]
    for problem in plan["problems"]:
        assert set(problem) == PROBLEM_KEYS


def test_an_error_as_json_has_the_same_shape_everywhere(shared: Instance) -> None:
    result = shared.run("show", "nobody", "--output", "json", exits=1)
    record = json.loads(result.err.splitlines()[-1]) if not result.out else result.json
    error = record.get("error", record)
    assert set(error) >= {"code", "name", "message"}
    assert error["name"] == "NameNotFound"


def test_plan_changes_nothing(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.plan("--detailed-exitcode", exits=2)
    reconciler.apply("--dry-run")
    assert reconciler.items() == {}
    assert reconciler.monitors() == []


def test_exit_codes_of_plan(shared: Instance) -> None:
    assert shared.run("plan", shared.source, "--detailed-exitcode").code == 0
    shared.write("more.yaml", sleeper())
    assert shared.run("plan", shared.source).code == 0
    assert shared.run("plan", shared.source, "--detailed-exitcode", exits=2).code == 2
    shared.write("more.yaml", "command: 8\n")
    assert shared.run("plan", shared.source, "--detailed-exitcode", exits=3).code == 3
    shared.remove("more.yaml")


@pytest.mark.parametrize(
    "args",
    [
        ["frobnicate"],
        ["apply", "--no-such-option"],
        ["show"],
        ["destroy"],
        ["apply", "--max-prune", "many"],
        ["logs", "web", "--tail", "x"],
        ["status", "--output", "xml"],
        ["plan", "--output"],
        ["watch", "--interval", "soon"],
        ["explain", "NoSuchCode"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_64(shared: Instance, args: list[str]) -> None:
    result = shared.run(*args, exits=64)
    assert result.codes == {"Usage"}
    assert result.out == ""
    assert len(result.err.splitlines()) <= 3


def test_a_lock_that_is_not_had_in_time_exits_5(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    with (reconciler.run_dir / "reconcile.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = reconciler.apply("--timeout", "100ms", exits=5)
        assert result.codes == {"LockTimeout"}
        assert reconciler.item("web")["state"] == "running"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_with_examples(shared: Instance, verb: str) -> None:
    text = shared.run(verb, "--help").out
    assert f"reconciler {verb}" in text
    assert "examples:" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_table_of_status_is_for_people(shared: Instance) -> None:
    lines = shared.run("status").out.splitlines()
    assert lines[0].split()[:4] == ["NAME", "KIND", "STATE", "PID"]
    [web] = [line for line in lines if line.startswith("web ")]
    assert "running" in web
    assert str(shared.pid("web")) in web


def test_show_tells_all_of_one(shared: Instance) -> None:
    shown = shared.run("show", "web", "--output", "json").json
    assert shown["name"] == "web"
    assert shown["pid"] == shared.pid("web")
    assert shown["limits"]["resources.memory.max"] in (64 << 20, "64Mi")
    assert str(shared.source / "web.yaml") in shared.run("show", "web").out
    assert shared.run("show", "nobody", exits=1).codes == {"NameNotFound"}


def test_logs_are_what_was_written(shared: Instance) -> None:
    assert shared.logs("web", "--stream", "stdout")[:2] == ["out 1", "out 2"]
    assert shared.logs("web", "--stream", "stderr") == ["err 1"]
    assert sorted(shared.logs("web"))[:3] == ["err 1", "out 1", "out 2"]
    stamped = shared.logs("web", "--timestamps", "--stream", "stderr")
    assert is_utc(stamped[0].split()[0])
    assert shared.logs("web", "--tail", "0") == []
    assert shared.logs("web", "--stream", "stderr", "--tail", "1") == ["err 1"]
    records = [
        json.loads(line) for line in shared.run("logs", "web", "-o", "json").out.splitlines()
    ]
    assert {record["stream"] for record in records} == {"stdout", "stderr"}
    assert shared.run("logs", "nobody", exits=1).codes == {"NameNotFound"}
    assert shared.logs("off") == []


def test_stats_are_the_kernels(shared: Instance) -> None:
    [item] = shared.run("stats", "web", "--output", "json").json["items"]
    assert item["memory"]["limitBytes"] == 64 << 20
    assert 0 < item["memory"]["usageBytes"] < 64 << 20
    assert item["pids"] == {"current": 1, "limit": 32}
    assert item["cpu"]["usageNs"] > 0
    assert {i["name"] for i in shared.run("stats", "-o", "json").json["items"]} == {"web"}
    assert shared.run("stats").out.splitlines()[0].startswith("NAME")


def test_schema_is_the_file_in_the_project(shared: Instance) -> None:
    path = Path(__file__).parents[2] / "schemas/container.schema.json"
    assert shared.run("schema").json == json.loads(path.read_text())


def test_version_is_printed_and_costs_little(shared: Instance) -> None:
    assert shared.run("version").out.startswith("reconciler ")
    assert set(shared.run("version", "-o", "json").json) == {"version"}


def test_validate_counts_what_is_valid(shared: Instance) -> None:
    assert "3" in shared.run("validate", shared.source).out
    one = shared.run("validate", shared.source / "web.yaml")
    assert one.code == 0


def test_every_code_of_the_list_is_explained(shared: Instance) -> None:
    lines = shared.run("explain").out.splitlines()[1:]
    codes = {line.split()[1]: line.split()[0] for line in lines}
    assert {"IdInUse", "ConfigInvalid", "SystemError", "CommandNotFound"} <= set(codes)
    for name, number in list(codes.items())[::6]:
        by_number = shared.run("explain", number).out
        assert by_number == shared.run("explain", name).out
        for part in (name, "likely causes:", "what to do:"):
            assert part in by_number


def test_destroy_of_what_is_not_there_is_an_error_with_a_code(shared: Instance) -> None:
    assert shared.run("destroy", "nobody", exits=1).codes == {"NameNotFound"}


def test_every_failure_is_logged_with_its_code(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(command=["/no/such/command"]))
    result = reconciler.apply("--log-format", "json", exits=1)
    [record] = [r for r in result.records if r["level"] == "error"]
    assert record["code"] == 30
    assert record["name"] == "CommandNotFound"
    assert record["container"] == "web"
    assert record["errno"] in (2, "ENOENT")
    assert record["path"] == "/no/such/command"
    for key in ("operation", "step", "time", "message"):
        assert record[key]


def test_debug_shows_the_stack_and_others_do_not_see_it(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(command=["/no/such/command"]))
    assert "File " not in reconciler.apply(exits=1).text


def test_directories_are_options_too(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    empty = reconciler.base / "elsewhere"
    result = reconciler.run("status", "--run-dir", empty, "--state-dir", empty, "-o", "json")
    assert result.json == {"items": []}


def test_without_a_directory_the_last_word_is_the_default_source(shared: Instance) -> None:
    if Path("/etc/reconciler").exists():
        pytest.skip("this host has a source of its own in /etc/reconciler")
    result = shared.run("validate", exits=None)
    assert "/etc/reconciler" in result.text
    assert result.codes == {"SourceMissing"}


def test_logs_are_rotated_and_bounded(reconciler: Instance) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; exec sleep inf"
    logs: Json = {"maxSize": "8Ki", "maxFiles": 3}
    reconciler.write("web.yaml", shell(script, logs=logs))
    reconciler.apply()
    wait_until(lambda: "line 3000" in reconciler.logs("web", "--tail", "1"), "the last line")
    files = list((reconciler.state_dir / "logs/web").iterdir())
    assert len(files) <= 3
    assert sum(path.stat().st_size for path in files) <= 3 * 8192
    numbers = [int(line.split()[1]) for line in reconciler.logs("web")]
    assert numbers == list(range(numbers[0], 3001))
