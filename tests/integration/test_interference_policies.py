"""By command, on the real kernel: drift policies, preferred fields, prune modes, kept plans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.cgroup.detect import Mode
from reconciler.model.state import Status
from tests.conftest import RunDirs
from tests.contract.cgroup_cell import eventually
from tests.integration.conftest import output

pytestmark = pytest.mark.requires_root

COMMAND = "command: [/bin/sleep, '1000']\n"


class Cli:
    """`reconciler` in an instance of its own, on a source of its own."""

    def __init__(self, dirs: RunDirs, engine: Engine, source: Path) -> None:
        self.dirs, self.engine, self.source = dirs, engine, source

    def run(self, verb: str, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", verb, "--log-format", "text", *words],
            env=os.environ | self.dirs.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def data(self, verb: str, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(verb, *words, "--output", "json", code=code).strip())

    def apply(self, *words: str) -> str:
        return self.run("apply", str(self.source), *words)

    def write(self, name: str, text: str = "") -> Path:
        path = self.source / f"{name}.yaml"
        path.write_text(COMMAND + text)
        return path

    def status(self, name: str) -> Status:
        return self.engine.load(name).status()

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        items = self.data("status", str(self.source))["items"]
        (item,) = (one for one in items if one["name"] == name)
        found: dict[str, Any] = next(one for one in item["conditions"] if one["type"] == kind)
        return found

    def limit_pids(self, name: str, limit: int) -> None:
        paths = self.engine.load(name).record.cgroups.values()
        files = (Path(path, "pids.max") for path in paths)
        next(file for file in files if file.exists()).write_text(str(limit))


@pytest.fixture
def cli(run_dirs: RunDirs, engine: Engine, tmp_path: Path) -> Cli:
    source = tmp_path / "specs"
    source.mkdir()
    return Cli(run_dirs, engine, source)


def test_reported_drift_is_shown_everywhere_counts_and_is_not_mended(cli: Cli) -> None:
    cli.write("web", "resources: {pids: {max: 20}}\ndrift: {policy: report}\n")
    cli.apply()
    cli.limit_pids("web", 7)
    assert "nothing to do" in cli.apply()
    (item,) = cli.data("drift", str(cli.source), "--detailed-exitcode", code=2)["items"]
    assert (item["field"], item["observed"], item["policy"]) == ("resources.pids.max", 7, "report")
    assert item["since"] is not None
    assert cli.condition("web", "Drifted")["status"] == "True"
    assert "resources.pids.max is 7, is to be 20 (live, only reported" in cli.run("why", "web")
    cli.write("web", "resources: {pids: {max: 9}}\ndrift: {policy: report}\n")
    assert "updated web: resources.pids.max 7 -> 9" in cli.apply()


def test_an_edit_of_one_limit_leaves_drift_of_another_that_is_only_reported(cli: Cli) -> None:
    policy = "drift: {policy: report}\n"
    cli.write("web", f"resources: {{pids: {{max: 20}}, memory: {{max: 64Mi}}}}\n{policy}")
    cli.apply()
    cli.limit_pids("web", 7)
    cli.write("web", f"resources: {{pids: {{max: 20}}, memory: {{max: 32Mi}}}}\n{policy}")
    assert "updated web: resources.memory.max 64Mi -> 32Mi" in cli.apply()
    shown = cli.engine.load("web").limits()
    assert (shown["resources.pids.max"], shown["resources.memory.max"]) == (7, 32 * 2**20)
    assert "resources.pids.max is 7, is to be 20" in cli.run("why", "web")


def test_a_memory_limit_out_of_reach_holds_back_no_limit_of_another_kind(cli: Cli) -> None:
    hold = "x = bytearray(80 << 20); print(1); import time; time.sleep(600)"
    limits = "resources: {memory: {max: %s}, pids: {max: %s}}\n"
    text = f"command: [python3, -uc, '{hold}']\n{limits}"
    path = cli.write("hog")
    path.write_text(text % ("200Mi", 50))
    cli.apply()
    assert eventually(lambda: output(cli.engine, "hog") == ["1"])
    path.write_text(text % ("40Mi", 20))
    for _ in range(2):
        assert "cannot lower resources.memory.max" in cli.run("apply", str(cli.source), code=1)
        shown = cli.engine.load("hog").limits()
        assert (shown["resources.memory.max"], shown["resources.pids.max"]) == (200 * 2**20, 20)
    path.write_text(text % ("150Mi", 20))
    cli.apply()
    assert cli.engine.load("hog").limits()["resources.memory.max"] == 150 * 2**20


def test_ignored_drift_is_shown_on_request_and_counts_for_nothing(cli: Cli) -> None:
    cli.write("web", "resources: {pids: {max: 20}}\ndrift: {fields: {resources: ignore}}\n")
    cli.apply()
    cli.limit_pids("web", 7)
    words = ["drift", str(cli.source), "--detailed-exitcode"]
    assert cli.run(*words) == "no drift\n"
    assert "ignore" in cli.run(*words, "--show-ignored")
    assert cli.condition("web", "Drifted")["status"] == "False"
    assert "drift     none" in cli.run("why", "web")


def test_a_preferred_limit_that_cannot_be_had_is_left_out_and_told_everywhere(
    cli: Cli, engine: Engine
) -> None:
    if engine.driver.mode is Mode.V2:
        pytest.skip("needs cgroup v1 for memory, which has no memory.high")
    high = "resources: {memory: {max: 64Mi, high: 32Mi}}\n"
    cli.write("web", f"{high}enforcement: {{resources.memory.high: preferred}}\n")
    told = "web is without resources.memory.high: "
    assert told in cli.run("plan", str(cli.source))
    assert told in cli.apply()
    assert "nothing to do" in cli.apply()
    assert cli.status("web") is Status.RUNNING
    assert cli.condition("web", "Enforced")["reason"] == "Unenforced"
    assert "without resources.memory.high" in cli.run("why", "web")
    assert "runs without resources.memory.high" in cli.run("doctor")
    cli.write("db", high)
    assert "cannot enforce resources.memory.high of db" in cli.run("apply", str(cli.source), code=1)
    assert cli.condition("db", "Enforced")["reason"] == "LimitNotSupported"


def test_a_frozen_container_is_thawed_by_its_file_and_destroyed_without_it(cli: Cli) -> None:
    cli.write("kept")
    file = cli.write("web", "prune: {mode: freeze, ttl: 1h}\n")
    cli.apply()
    pid = cli.engine.load("web").record.init
    text = file.read_text()
    file.unlink()
    assert "froze web" in cli.apply()
    assert cli.status("web") is Status.PAUSED
    assert cli.condition("web", "Progressing")["reason"] == "Frozen"
    cli.engine.load("web").resume()
    assert "froze web" in cli.apply()
    file.write_text(text)
    assert "resumed web" in cli.apply()
    assert cli.status("web") is Status.RUNNING
    assert cli.engine.load("web").record.init == pid
    assert "nothing to do" in cli.apply()
    file.write_text(text.replace("1h", "0s"))
    cli.apply()
    file.unlink()
    assert "destroyed web" in cli.apply()


def test_a_container_paused_by_hand_stays_paused_when_its_file_comes_back(cli: Cli) -> None:
    cli.write("kept")
    file = cli.write("web", "prune: {mode: freeze}\n")
    cli.apply()
    cli.run("pause", "web")
    text = file.read_text()
    file.unlink()
    cli.apply()
    file.write_text(text)
    assert "its file is back" in cli.apply()
    assert cli.status("web") is Status.PAUSED
    file.unlink()
    cli.apply()
    assert "destroyed web" in cli.run("destroy", "web")


def test_an_orphan_runs_on_untouched_until_its_file_comes_back_or_it_is_destroyed(
    cli: Cli,
) -> None:
    cli.write("kept")
    file = cli.write("web", "prune: {mode: orphan}\n")
    cli.apply()
    init = cli.engine.load("web").record.init
    text = file.read_text()
    file.unlink()
    assert "nothing to do" in cli.apply()
    assert cli.condition("web", "Progressing")["reason"] == "Orphaned"
    assert "`reconciler destroy` removes it" in cli.run("why", "web")
    file.write_text(text)
    assert "nothing to do" in cli.apply()
    assert cli.engine.load("web").record.init == init
    assert cli.condition("web", "Progressing")["reason"] == "Converged"
    file.unlink()
    assert "destroyed web" in cli.run("destroy", "web")


def test_a_kept_plan_is_carried_out_once_from_anywhere_without_options(
    cli: Cli, tmp_path: Path
) -> None:
    cli.write("web")
    plan = tmp_path / "plan.json"
    cli.run("plan", str(cli.source), "--out", str(plan))
    assert plan.stat().st_mode & 0o777 == 0o600
    assert "created web" in cli.run("apply", "--plan", str(plan))
    again = cli.run("apply", "--plan", str(plan), code=4)
    assert "the container web has come since" in again
    assert "PlanStale" in again


def test_a_kept_plan_is_refused_after_an_edit_and_after_a_kill(cli: Cli, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.json")
    cli.write("web")
    cli.run("plan", str(cli.source), "--out", plan)
    cli.write("web", "env: {A: b}\n")
    assert "the file web has changed since: env.A" in cli.run("apply", "--plan", plan, code=4)
    cli.apply()
    cli.write("web", "labels: {a: b}\n")
    cli.run("plan", str(cli.source), "--out", plan)
    container = cli.engine.load("web")
    container.signal(signal.SIGKILL)
    container.wait(10)
    assert "the container web has changed since: state" in cli.run("apply", "--plan", plan, code=4)


def test_a_kept_plan_for_other_sources_or_another_instance_is_refused(
    cli: Cli, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan.json")
    cli.write("web")
    cli.run("plan", str(cli.source), "--out", plan)
    for words in (
        [str(tmp_path)],
        ["--run-dir", str(tmp_path)],
        ["--state-dir", str(tmp_path)],
        ["--max-prune", "9"],
        ["--dry-run"],
    ):
        assert "Usage" in cli.run("apply", "--plan", plan, *words, code=64)
    assert "created web" in cli.run("apply", str(cli.source), "--plan", plan)


def test_a_plan_that_cannot_be_read_or_written_is_told_plainly(cli: Cli, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "plan")
    assert "No such file" in cli.run("apply", "--plan", missing, code=1)
    assert "cannot write the plan" in cli.run("plan", str(cli.source), "--out", missing, code=1)
    damaged = tmp_path / "damaged"
    damaged.write_text('{"version": 1}')
    assert "it is damaged" in cli.run("apply", "--plan", str(damaged), code=1)
