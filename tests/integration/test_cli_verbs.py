"""The verbs signal, restart and wait as programs on the real kernel; and output as YAML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import Config, Engine
from tests.conftest import RunDirs
from tests.integration.conftest import Run

pytestmark = pytest.mark.requires_root


WEB = 'command: [sleep, "1000"]\n'
HANDLER = "trap 'echo hup' HUP; echo up; while :; do sleep 1000 & wait; done"


@pytest.fixture
def environ(run_dirs: RunDirs) -> dict[str, str]:
    return {**os.environ, **run_dirs.environ}


@pytest.fixture
def web(run: Run, source: Path) -> Path:
    """Give a source whose one container, web, runs."""
    (source / "web.yaml").write_text(WEB)
    run("apply", source)
    return source


def pid_of(run: Run, name: str) -> int:
    items = json.loads(run("status", "--output", "json").stdout)["items"]
    (pid,) = [item["pid"] for item in items if item["name"] == name]
    return int(pid)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["plan", "SOURCE"],
        ["apply", "SOURCE"],
        ["validate", "SOURCE"],
        ["show", "web"],
        ["version"],
        ["schema"],
        ["explain", "30"],
        ["wait", "web", "--for", "running"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_yaml_says_the_same_as_json(run: Run, web: Path, arguments: list[str]) -> None:
    told = [str(web) if one == "SOURCE" else one for one in arguments]
    as_yaml = yaml.safe_load(run(*told, "--output", "yaml").stdout)
    assert as_yaml == json.loads(run(*told, "--output", "json").stdout)
    assert as_yaml


def test_an_error_as_yaml_is_one_document(run: Run) -> None:
    done = run("show", "nope", "-o", "yaml", exits=1)
    assert yaml.safe_load(done.stdout)["error"]["name"] == "NameNotFound"


def test_logs_as_yaml_are_one_document_a_line(run: Run, engine: Engine) -> None:
    engine.create("job", Config(command=("sh", "-c", "echo one; echo two"))).start().wait(20)
    lines = list(yaml.safe_load_all(run("logs", "job", "-o", "yaml").stdout))
    assert [line["text"] for line in lines] == ["one", "two"]


def test_a_signal_reaches_the_init(run: Run, engine: Engine) -> None:
    container = engine.create("web", Config(command=("sh", "-c", f"{HANDLER}")))
    container.start()
    log = Path(engine.state_dir, "logs/web/log")
    wait_for(log.exists)
    wait_for(lambda: "up" in log.read_text())
    assert run("signal", "web", "hup").stdout == "sent SIGHUP to web\n"
    wait_for(lambda: "hup" in log.read_text())


def wait_for(is_met: Callable[[], bool]) -> None:
    """Look until it is so; whoever calls runs programs or the kernel's scheduler between."""
    while not is_met():
        os.sched_yield()


def test_a_signal_that_init_does_not_handle_is_told_as_dropped(run: Run, web: Path) -> None:
    told = run("signal", "web", "USR1").stdout
    assert told == "sent SIGUSR1 to web: it has no handler for it, so the kernel drops it\n"
    shown = json.loads(run("signal", "web", "10", "-o", "json").stdout)
    assert shown == {"name": "web", "signal": 10, "signalName": "SIGUSR1", "dropped": True}
    assert run("signal", "web", "SIGKILL").stdout == "sent SIGKILL to web\n"
    run("wait", "web", "--for", "Running=False")
    assert "(ContainerNotRunning 7;" in run("signal", "web", "KILL", exits=1).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [("HPU", "did you mean HUP?"), ("0", "not a signal from 1 to"), ("99", "not a signal from")],
)
def test_a_signal_that_there_is_none_of_is_wrong_usage(run: Run, text: str, said: str) -> None:
    assert said in run("signal", "web", text, exits=64).stderr


def test_restart_stops_gracefully_and_starts_again(run: Run, source: Path, engine: Engine) -> None:
    script = "trap 'echo bye; exit 0' INT; echo up; while :; do sleep 1000 & wait; done"
    text = f"command: [sh, -c, {json.dumps(script)}]\nstop: {{signal: INT, grace: 20s}}\n"
    (source / "web.yaml").write_text(text)
    run("apply", source)
    log = Path(engine.state_dir, "logs/web/log")
    wait_for(log.exists)
    wait_for(lambda: "up" in log.read_text())
    before = pid_of(run, "web")
    (item,) = json.loads(run("restart", "web", "-o", "json").stdout)["items"]
    assert item == {"name": "web", "restarted": True, "pid": item["pid"], "error": None}
    assert item["pid"] == pid_of(run, "web") != before
    assert "bye" in log.read_text()
    assert "nothing to do" in run("plan", source).stdout
    assert json.loads(run("show", "web", "-o", "json").stdout)["restarts"] == 0


def test_restart_goes_on_after_a_name_that_is_unknown(run: Run, web: Path) -> None:
    before = pid_of(run, "web")
    told = run("restart", "nope", "web", exits=1).stdout.splitlines()
    assert told[0].startswith("! cannot find container nope: ")
    assert told[1] == f"restarted web: pid {pid_of(run, 'web')}"
    assert pid_of(run, "web") != before


def test_restart_refuses_what_is_to_be_stopped(run: Run, source: Path) -> None:
    (source / "web.yaml").write_text(WEB + "state: stopped\n")
    run("apply", source)
    told = run("restart", "web", exits=1).stdout
    assert "cannot restart web: its spec has `state: stopped`" in told
    assert str(source / "web.yaml") in told


def test_restart_of_what_was_paused_by_hand_lets_it_run(run: Run, web: Path) -> None:
    run("pause", "web")
    run("restart", "web")
    run("wait", "web", "--for", "running")
    assert "nothing to do" in run("plan", web).stdout


def test_restart_of_what_the_reconciler_did_not_make(run: Run, engine: Engine) -> None:
    container = engine.create("bare", Config(command=("sleep", "1000")))
    first = container.start().pid
    assert "restarted bare: pid " in run("restart", "bare").stdout
    init = container.refresh().init
    assert init is not None
    assert init.pid != first
    assert container.annotations == {}


def test_wait_ends_when_a_job_has_completed(run: Run, source: Path) -> None:
    (source / "job.yaml").write_text('kind: Job\ncommand: [sleep, "0.3"]\n')
    run("apply", source)
    assert run("wait", "job", "--for", "completed").stdout == "job is completed\n"


def test_wait_waits_for_a_name_that_is_yet_to_be_made(
    run: Run, environ: dict[str, str], source: Path
) -> None:
    command = [sys.executable, "-m", "reconciler", "wait", "web", "--for", "Running"]
    waiting = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    (source / "web.yaml").write_text(WEB)
    run("apply", source)
    assert waiting.communicate(timeout=30)[0] == "web is Running\n"
    assert waiting.returncode == 0
    with subprocess.Popen([*command[:-1], "destroyed"], env=environ) as destroyed:
        run("destroy", "web")
        assert destroyed.wait(30) == 0


def test_wait_says_how_it_is_when_the_time_is_over(run: Run, web: Path) -> None:
    told = run("wait", "web", "--for", "completed", "--timeout", "50ms", exits=1).stdout
    assert told == "! web is not completed after 0.05 s: it is running\n"
    told = run("wait", "wbe", "--for", "Running", "--timeout", "50ms", exits=1).stdout
    assert told.endswith("it does not exist; did you mean web?\n")
    shown = run("wait", "web", "--for", "stopped", "--timeout", "0s", "-o", "json", exits=1)
    (item,) = json.loads(shown.stdout)["items"]
    assert (item["met"], item["state"], item["for"]) == (False, "running", "stopped")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("runing", "did you mean running?"),
        ("Running=Perhaps", "is neither a state nor a condition"),
        ("Bogus", "there is no condition 'Bogus'; there are "),
    ],
)
def test_wait_for_what_there_is_none_of_is_wrong_usage(
    run: Run, web: Path, wanted: str, said: str
) -> None:
    assert said in run("wait", "web", "--for", wanted, exits=64).stderr


def conditions(**statuses: str) -> list[dict[str, Any]]:
    return [{"type": kind, "status": status} for kind, status in statuses.items()]


def test_a_condition_is_met_by_its_status_alone() -> None:
    from reconciler.cli.verbs.wait import Wanted

    item = {"state": "running", "conditions": conditions(Running="True", Valid="Unknown")}
    assert Wanted("Running", None, "Running").is_met(item)
    assert not Wanted("Valid", None, "Valid").is_met(item)
    assert Wanted("Valid=Unknown", None, "Valid", "Unknown").is_met(item)
    assert not Wanted("Ready", None, "Ready").is_met(item)
    assert not Wanted("Ready", None, "Ready").is_met(None)
