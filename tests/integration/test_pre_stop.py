"""The command before a stop, on the real kernel: its order, its time, and its failures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.errors import ErrorCode
from tests.conftest import RunDirs
from tests.integration.conftest import output

pytestmark = pytest.mark.requires_root

# Notes each start and each TERM, and ends with the latter.
SERVER = "trap 'echo term >> /out/log; exit 0' TERM; echo start >> /out/log; echo up; "
SERVER += "while :; do sleep 1000 & wait $!; done"
NOTE = "echo pre >> /out/log"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("specs", "out", "empty"):
        (tmp_path / name).mkdir()
    return tmp_path / "specs"


@pytest.fixture
def write(source: Path, rootfs: Path) -> Callable[..., None]:
    (rootfs / "out").mkdir()

    def made(*more: str, pre_stop: str = NOTE, grace: str = "10s") -> None:
        lines = [
            f'command: [/bin/sh, -c, "{SERVER}"]',
            f"rootfs: {{path: {rootfs}}}",
            "mounts: [{type: bind, source: ../out, target: /out}]",
            f'stop: {{grace: {grace}, preStop: [/bin/sh, -c, "{pre_stop}"]}}',
            *more,
        ]
        (source / "web.yaml").write_text("\n".join(lines))

    return made


def converge(engine: Engine, source: Path) -> list[str]:
    report = Reconciler(engine, [str(source)]).converge()
    assert [str(one.error) for one in report.outcomes if one.error is not None] == []
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def await_start(engine: Engine, times: int = 1) -> None:
    while output(engine, "web") != ["up"] * times:
        os.sched_yield()


def noted(source: Path) -> list[str]:
    return (source.parent / "out" / "log").read_text().split()


def cli(run_dirs: RunDirs, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "RECONCILER_RUN_DIR": str(run_dirs.run_dir),
        "RECONCILER_STATE_DIR": str(run_dirs.state_dir),
    }
    command = [sys.executable, "-m", "reconciler", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_it_comes_before_the_signal_of_a_stop(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write()
    converge(engine, source)
    await_start(engine)
    write("state: stopped")
    assert converge(engine, source) == ["stop web"]
    assert noted(source) == ["start", "pre", "term"]


def test_it_comes_before_the_signal_of_a_restart_and_of_a_recreation(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write()
    converge(engine, source)
    await_start(engine)
    write("env: {A: b}")
    assert converge(engine, source) == ["restart web"]
    await_start(engine, 2)
    write("env: {A: b}", "kind: Job")
    assert converge(engine, source) == ["recreate web"]
    await_start(engine, 3)
    assert noted(source) == ["start", "pre", "term"] * 2 + ["start"]


def test_it_comes_before_the_signal_of_a_prune(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write()
    (source / "other.yaml").write_text("command: [/bin/sleep, '1000']")
    converge(engine, source)
    await_start(engine)
    (source / "web.yaml").unlink()
    assert converge(engine, source) == ["destroy web"]
    assert noted(source) == ["start", "pre", "term"]


@pytest.mark.parametrize("verb", ["destroy", "restart"])
def test_it_comes_before_the_signal_of_a_command(
    verb: str, engine: Engine, source: Path, write: Callable[..., None], run_dirs: RunDirs
) -> None:
    write()
    converge(engine, source)
    await_start(engine)
    cli(run_dirs, verb, "web")
    assert noted(source)[:3] == ["start", "pre", "term"]


def test_one_that_fails_is_logged_with_its_code_and_is_in_nobodys_way(
    engine: Engine,
    source: Path,
    write: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(pre_stop=NOTE + "; echo broken; exit 7")
    converge(engine, source)
    await_start(engine)
    write("state: stopped", pre_stop=NOTE + "; echo broken; exit 7")
    assert converge(engine, source) == ["stop web"]
    assert noted(source) == ["start", "pre", "term"]
    [record] = [one for one in caplog.records if "before the stop of web" in one.getMessage()]
    assert record.getMessage().endswith("exit code 7: broken")
    assert getattr(record, "code", None) == ErrorCode.PreStopFailed


def test_its_time_is_part_of_the_grace_and_what_is_left_is_for_the_signal(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write(pre_stop=NOTE + "; sleep 1000", grace="1s")
    converge(engine, source)
    await_start(engine)
    write("state: stopped", pre_stop=NOTE + "; sleep 1000", grace="1s")
    begun = time.monotonic()
    assert converge(engine, source) == ["stop web"]
    assert time.monotonic() - begun >= 1
    assert noted(source)[:2] == ["start", "pre"]
    assert engine.load("web").processes() == []


def test_one_that_ends_the_container_itself_is_no_failure(
    engine: Engine,
    source: Path,
    write: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(pre_stop="kill -TERM 1; sleep 1000")
    converge(engine, source)
    await_start(engine)
    write("state: stopped", pre_stop="kill -TERM 1; sleep 1000")
    assert converge(engine, source) == ["stop web"]
    assert noted(source) == ["start", "term"]
    assert "before the stop" not in caplog.text


def test_it_is_not_run_in_what_is_paused_or_has_ended(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write()
    converge(engine, source)
    await_start(engine)
    engine.load("web").pause()
    write("state: stopped")
    assert converge(engine, source) == ["stop web"]
    assert noted(source) == ["start", "term"]
    (source / "web.yaml").unlink()
    (source / "other.yaml").write_text("command: [/bin/sleep, '1000']")
    assert "destroy web" in converge(engine, source)
    assert noted(source) == ["start", "term"]
