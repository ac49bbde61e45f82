"""Logs that are nobody's any more: kept for a week, then removed by a pass."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.old_logs import LOGS_KEPT_S
from reconciler.control.reconcile import Reconciler
from tests.conftest import RunDirs
from tests.integration.daemon import SLEEP

pytestmark = pytest.mark.requires_root

OLD_S, YOUNG_S = LOGS_KEPT_S + 60, LOGS_KEPT_S - 60


def make_logs(dirs: RunDirs, name: str, age_s: float) -> Path:
    directory = dirs.state_dir / "logs" / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "log").write_text("a line\n")
    for path in (directory / "log", directory):
        os.utime(path, (time.time() - age_s,) * 2)
    return directory


def run_pass(engine: Engine, source: Path, *, up_s: float = 7200) -> None:
    Reconciler(engine, [str(source)], boot_clock=lambda: up_s).run_pass()


def test_logs_of_nobody_are_removed_after_a_week(
    engine: Engine, run_dirs: RunDirs, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    (source / "bad.yaml").write_text("command: 5\n")
    run_pass(engine, source)
    gone = make_logs(run_dirs, "gone", OLD_S)
    kept = [make_logs(run_dirs, name, OLD_S) for name in ("web", "bad")]
    kept.append(make_logs(run_dirs, "lately", YOUNG_S))
    run_pass(engine, source)
    assert not gone.exists()
    assert all((path / "log").exists() for path in kept)


def test_nothing_is_removed_while_it_is_not_known_what_is_wanted(
    engine: Engine, run_dirs: RunDirs, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    logs = make_logs(run_dirs, "other", OLD_S)
    run_pass(engine, source, up_s=60)  # soon after boot
    assert logs.exists()
    run_pass(engine, source / "missing")
    assert logs.exists()
    run_pass(engine, source)
    assert not logs.exists()
