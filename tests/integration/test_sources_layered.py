"""Layers, drop-ins and env files to running containers, on the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.errors import ErrorCode
from tests.integration.conftest import output

pytestmark = pytest.mark.requires_root

SLEEP = "command: [/bin/sleep, '1000']\n"


@pytest.fixture
def usr(tmp_path: Path) -> Path:
    (tmp_path / "usr").mkdir()
    return tmp_path / "usr"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "other.yaml").write_text(SLEEP)
    return tmp_path / "etc"


def converge(engine: Engine, *sources: Path) -> list[str]:
    """Converge and return what was done, as `verb name`; nothing may be left to do."""
    report = Reconciler(engine, list(map(str, sources))).converge()
    assert (report.plan.actions, report.plan.problems) == ((), ())
    assert [str(one.error) for one in report.outcomes if one.error is not None] == []
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def init_of(engine: Engine, name: str) -> int:
    init = engine.load(name).record.init
    assert init is not None
    return init.pid


def test_a_file_that_moves_from_one_directory_to_the_other_leaves_its_process_alone(
    engine: Engine, usr: Path, etc: Path
) -> None:
    (usr / "web.yaml").write_text(SLEEP)
    assert converge(engine, usr, etc) == ["create other", "create web"]
    pid = init_of(engine, "web")
    (usr / "web.yaml").rename(etc / "web.yaml")
    assert converge(engine, usr, etc) == ["update web"]
    (usr / "web.yaml").write_text(SLEEP)  # and one that is overridden changes nothing
    assert converge(engine, usr, etc) == []
    (etc / "web.yaml").unlink()
    assert converge(engine, usr, etc) == ["update web"]
    assert init_of(engine, "web") == pid


def test_a_mask_destroys_and_its_removal_makes_the_container_again(
    engine: Engine, usr: Path, etc: Path
) -> None:
    (usr / "web.yaml").write_text(SLEEP)
    converge(engine, usr, etc)
    (etc / "web.yaml").symlink_to("/dev/null")
    assert converge(engine, usr, etc) == ["destroy web"]
    (etc / "web.yaml").unlink()
    assert converge(engine, usr, etc) == ["create web"]


def test_drop_ins_change_live_what_can_and_a_broken_one_changes_nothing(
    engine: Engine, usr: Path, etc: Path
) -> None:
    (usr / "web.yaml").write_text(SLEEP)
    converge(engine, usr, etc)
    pid = init_of(engine, "web")
    (etc / "container.d").mkdir()
    patch = etc / "container.d" / "limits.yaml"
    patch.write_text("resources: {pids: {max: 50}}\n")
    assert converge(engine, usr, etc) == ["update other", "update web"]
    assert engine.load("web").record.config.resources.pids.max == 50
    patch.write_text("resources: {pids: {max: 5")
    report = Reconciler(engine, [str(usr), str(etc)]).converge()
    assert report.outcomes == ()
    assert {problem.code for problem in report.plan.problems} == {ErrorCode.SpecSyntax}
    assert {problem.file for problem in report.plan.problems} == {str(patch)}
    patch.unlink()
    assert converge(engine, usr, etc) == ["update other", "update web"]
    assert init_of(engine, "web") == pid


def test_a_changed_env_file_restarts_the_command_with_it(
    engine: Engine, usr: Path, etc: Path
) -> None:
    (etc / "web.env").write_text("GREETING='hello there'\n")
    (usr / "web.yaml").write_text(
        "command: [/bin/sh, -c, 'echo $GREETING; exec sleep 1000']\nenvFile: ../etc/web.env\n"
    )
    converge(engine, usr, etc)
    assert converge(engine, usr, etc) == []
    pid = init_of(engine, "web")
    (etc / "web.env").write_text("GREETING=bye\n")
    assert converge(engine, usr, etc) == ["restart web"]
    assert init_of(engine, "web") != pid
    while output(engine, "web") != ["hello there", "bye"]:
        os.sched_yield()
