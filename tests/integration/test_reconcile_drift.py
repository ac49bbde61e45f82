"""`reconciler drift` on the real kernel: what was changed behind the reconciler's back."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

SPEC = """\
command: [/bin/sleep, '1000']
oomScoreAdj: 100
rlimits: {nofile: {soft: 64, hard: 128}}
security: {capabilities: [CHOWN]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "specs" / "web.yaml"
    path.parent.mkdir()
    path.write_text(SPEC)
    return path


def converge(engine: Engine, file: Path) -> list[str]:
    report = Reconciler(engine, [str(file.parent)]).converge()
    assert report.plan.actions == ()
    return [one.action.describe() for one in report.outcomes]


def drift(dirs: RunDirs, file: Path, *, code: int) -> list[dict[str, Any]]:
    words = ["drift", str(file.parent), "--detailed-exitcode", "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        env=os.environ | dirs.environ,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == code
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def init_of(engine: Engine) -> int:
    init = engine.load("web").record.init
    assert init is not None
    return init.pid


def test_a_container_as_its_spec_says_has_no_drift(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    assert drift(run_dirs, file, code=0) == []


def test_a_changed_score_is_shown_and_mended_in_the_same_process(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    pid = init_of(engine)
    Path(f"/proc/{pid}/oom_score_adj").write_text("500")
    (shown,) = drift(run_dirs, file, code=2)
    assert shown == {
        "name": "web",
        "field": "oomScoreAdj",
        "desired": 100,
        "observed": 500,
        "class": "live",
        "policy": "enforce",
        "since": None,
    }
    assert converge(engine, file) == ["update web: oomScoreAdj 500 -> 100"]
    assert drift(run_dirs, file, code=0) == []
    assert init_of(engine) == pid


def test_a_raised_hard_limit_is_lowered_in_the_same_process(engine: Engine, file: Path) -> None:
    converge(engine, file)
    pid = init_of(engine)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (500, 1000))
    except PermissionError:
        pytest.skip("needs CAP_SYS_RESOURCE to raise a hard limit")
    assert converge(engine, file) == ["update web: rlimits.nofile [500, 1000] -> [64, 128]"]
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (128, 128)
    assert init_of(engine) == pid


def test_what_does_not_exist_and_what_is_not_wanted_is_drift(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    (missing,) = drift(run_dirs, file, code=2)
    assert (missing["field"], missing["desired"], missing["observed"]) == ("state", "running", None)
    (file.parent / "db.yaml").write_text("command: [/bin/sleep, '1000']\n")
    converge(engine, file)
    file.unlink()
    (extra,) = drift(run_dirs, file, code=2)
    assert (extra["name"], extra["desired"], extra["observed"]) == ("web", None, "running")
