"""`reconciler why`: one screen for what runs, what failed, and what is only in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import Config, Engine
from tests.integration.conftest import Run

pytestmark = pytest.mark.requires_root


def why(run: Run, *arguments: object) -> dict[str, list[str]]:
    """Return what the table says by title; the first line's title is the name."""
    rows: dict[str, list[str]] = {}
    for line in run("why", *arguments).stdout.splitlines():
        rows.setdefault(line[:10].strip() or "log", []).append(line[10:])
    return rows


def facts(run: Run, *arguments: object) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(run("why", *arguments, "--output", "json").stdout)
    return shown


def test_what_runs_is_told_with_its_use_and_its_limits(run: Run, source: Path) -> None:
    text = 'command: [sleep, "1000"]\nresources: {memory: {max: 64Mi}, pids: {max: 20}}\n'
    (source / "web.yaml").write_text(text)
    run("apply", source)
    shown = why(run, "web")
    assert shown["web"][0].startswith("Container, running for ")
    assert shown["file"] == [f"{source}/web.yaml:1"]
    assert shown["command"] == ["sleep 1000"]
    assert " of 64Mi" in shown["memory"][0]
    assert shown["tasks"] == ["1 of 20"]
    assert shown["drift"] == ["none"]
    assert "started again when it ends" in shown["next"][0]


def test_drift_is_told_field_by_field(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source)
    (source / "web.yaml").write_text('command: [sleep, "1000"]\nresources: {pids: {max: 20}}\n')
    shown = why(run, "web")
    (told,) = shown["drift"]
    assert told.startswith("resources.pids.max is none, is to be 20 (live, for ")
    assert "`reconciler apply`" in shown["next"][0]
    (change,) = facts(run, "web")["drift"]
    assert (change["field"], change["desired"], change["class"]) == (
        "resources.pids.max",
        20,
        "live",
    )


def test_out_of_memory_is_told_with_figures_and_the_next_try(
    run: Run, source: Path, engine: Engine
) -> None:
    (source / "hog.yaml").write_text(
        "command: [sh, -c, 'echo begin; exec tail /dev/zero']\n"
        "resources: {memory: {max: 16Mi, swap: 0}}\n"
        "restart: {backoff: {initial: 1h, max: 1h}}\n"
    )
    run("apply", source)
    assert engine.monitor.wait("hog", 30) is not None
    shown = why(run, "hog")
    assert shown["hog"] == ["Container, backoff"]
    told = "killed by signal 9 (out of memory: reached 16Mi of resources.memory.max 16Mi), "
    assert shown["last exit"][0].startswith(told)
    memory = facts(run, "hog")["lastExit"]["memory"]
    assert (memory["limitBytes"], memory["oomKills"]) == (16 * 2**20, 1)
    assert shown["next"][0].startswith("in 59m")
    assert [line["text"] for line in facts(run, "hog")["log"]] == ["begin"]


def test_a_create_that_failed_is_told(run: Run, source: Path) -> None:
    backoff = "restart: {backoff: {initial: 1h, max: 1h}}\n"
    (source / "web.yaml").write_text("command: [/no/such]\n" + backoff)
    (source / "other.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source, exits=1)
    shown = why(run, "web")
    assert shown["web"] == ["Container, backoff"]
    assert shown["next"][0].startswith("in 59m")
    assert shown["next"][0].endswith("`reconciler apply` at once")
    assert "`reconciler apply` tries it at once" in run("plan", source, exits=1).stdout
    assert "/no/such does not exist" in shown["failed"][0]
    assert "(CommandNotFound, " in shown["failed"][0]
    assert facts(run, "web")["failure"]["code"] == 30


def test_a_create_that_failed_is_told_where_no_source_is_known(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text("command: [/no/such]\n")
    run("apply", source, exits=1)
    assert "/no/such does not exist" in why(run, "web")["failed"][0]


def test_a_name_that_is_only_in_a_file_is_told(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text("command: [id]\n")
    shown = why(run, "web", source)
    assert shown["web"] == ["Container, pending"]
    assert "will create it" in shown["next"][0]


def test_a_broken_file_is_told_with_its_place(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source)
    (source / "web.yaml").write_text("command: 7\n")
    (source / "new.yaml").write_text("command: 7\n")
    shown = why(run, "web")
    assert shown["web"][0].startswith("Container, running")
    assert shown["problem"][0].startswith(f"{source}/web.yaml:1:10: command: ")
    shown = why(run, "new")
    assert shown["new"] == ["Container, invalid"]
    assert shown["next"] == ["nothing until its file is repaired"]


def test_a_completed_job_and_its_last_log_lines(run: Run, source: Path) -> None:
    script = "for i in $(seq 15); do echo line $i; done"
    (source / "job.yaml").write_text(f"kind: Job\ncommand: [sh, -c, '{script}']\n")
    run("apply", source)
    run("wait", "job", "--for", "completed")
    shown = facts(run, "job")
    assert [line["text"] for line in shown["log"]] == [f"line {n}" for n in range(6, 16)]
    assert "it has done its work" in why(run, "job")["next"][0]


def test_what_was_paused_by_hand_says_how_to_go_on(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source)
    run("pause", "web")
    assert "`reconciler resume web`" in why(run, "web")["next"][0]


def test_what_no_file_names_is_left_alone(run: Run, engine: Engine) -> None:
    engine.create("bare", Config(command=("sleep", "1000"))).start()
    shown = why(run, "bare")
    assert shown["file"] == ["none: no file that was looked at names it"]
    assert shown["next"][0].startswith("nothing: no file names it")


def test_an_unknown_name_is_told_with_the_nearest_and_where_was_looked(
    run: Run, source: Path
) -> None:
    (source / "frontend.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source)
    told = run("why", "frontned", exits=1).stderr
    assert "did you mean frontend?" in told
    assert str(source) in told


def test_a_permanent_exit_code_and_a_deadline_that_passed_are_named(
    run: Run, source: Path, engine: Engine
) -> None:
    (source / "bad.yaml").write_text(
        "command: [sh, -c, 'exit 78']\nrestart: {permanentExitCodes: [78]}\n"
    )
    (source / "slow.yaml").write_text(
        'kind: Job\ncommand: [sleep, "1000"]\ndeadline: 1ms\nrestart: {policy: never}\n'
    )
    run("apply", source)
    assert engine.monitor.wait("bad", 30) is not None
    run("apply", source)
    assert why(run, "bad")["next"][0].startswith("nothing by itself: exit code 78 is one of ")
    assert why(run, "slow")["stopped"] == ["as it ran longer than its deadline of 1ms"]
    assert facts(run, "slow")["stoppedFor"] == "it ran longer than its deadline of 1ms"


def test_status_show_and_why_tell_the_same_by_the_same_keys(
    run: Run, source: Path, engine: Engine
) -> None:
    (source / "web.yaml").write_text(
        "command: [sh, -c, 'exit 3']\nrestart: {backoff: {initial: 1h, max: 1h}}\n"
    )
    run("apply", source)
    assert engine.monitor.wait("web", 30) is not None
    (item,) = json.loads(run("status", "--output", "json").stdout)["items"]
    shown = json.loads(run("show", "web", "--output", "json").stdout)
    told = facts(run, "web")
    assert {key: shown[key] for key in item} == {key: told[key] for key in item} == item
    assert (item["state"], item["lastExit"]["text"]) == ("backoff", "exit code 3")


def test_a_masked_name_is_told_with_what_masks_it(run: Run, source: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for name in ("web", "other"):
        (source / f"{name}.yaml").write_text('command: [sleep, "1000"]\n')
    run("apply", source, site)
    (site / "web.yaml").symlink_to("/dev/null")
    run("apply", source, site)
    for words in (["show", "web"], ["why", "web"], ["show", "--merged", "web", source, site]):
        told = run(*words, exits=1).stderr
        assert f"{site}/web.yaml masks it" in told
        assert "remove that file" in told
