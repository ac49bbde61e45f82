"""What an earlier monitor left running is taken over, if not at once then later."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.linux.proc import read_stat
from reconciler.monitor import adoption, children
from reconciler.monitor.adoption import Adoption
from reconciler.monitor.run_file import RUN_FILE, write_json


class Stage:
    """Containers by directory, and what taking each over is to come to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.failing: set[str] = set()
        self.taken: list[str] = []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(adoption, "time", clock)
        monkeypatch.setattr(adoption, "adopt", self.adopt)

    def adopt(self, directory: str, boot_id: str) -> str | None:
        name = Path(directory).name
        if name in self.failing:
            raise OSError(errno.EMFILE, "too many open files")
        return None if name.startswith("ended") else name

    def take(self, child: object) -> None:
        self.taken.append(str(child))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def make(run_dir: Path, *names: str) -> Adoption:
    for name in names:
        (run_dir / "containers" / name).mkdir(parents=True)
    return Adoption(str(run_dir), "boot")


def test_what_can_be_is_taken_over_at_once(stage: Stage, tmp_path: Path) -> None:
    made = make(tmp_path, "db", "ended", "web")
    assert (made.is_done(), made.patience_s()) == (False, 0.0)
    made.attempt(stage.take)
    assert stage.taken == ["db", "web"]
    assert (made.is_done(), made.patience_s()) == (True, None)


def test_what_cannot_be_hides_no_other_and_is_tried_again(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.failing = {"db"}
    made = make(tmp_path, "db", "web")
    made.attempt(stage.take)
    assert stage.taken == ["web"]
    assert f"cannot take over {tmp_path}/containers/db: " in capsys.readouterr().err
    made.attempt(stage.take)  # too early
    assert (made.is_done(), made.patience_s()) == (False, 1.0)
    stage.now += 1
    made.attempt(stage.take)
    assert capsys.readouterr().err == ""  # told once
    stage.failing.clear()
    stage.now += 1
    made.attempt(stage.take)
    assert (stage.taken, made.is_done()) == (["web", "db"], True)


@pytest.mark.parametrize("failing", ["is_same_process", "Child", "core.oom_kills"])
def test_an_attempt_that_fails_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    stat = read_stat(os.getpid())
    assert stat is not None
    run = {
        "pid": os.getpid(),
        "startTicks": stat.start_ticks,
        "bootId": "boot",
        "exit": None,
        "logStreams": [],
        "logDir": str(tmp_path),
        "logSize": 1,
        "logFiles": 1,
        "cgroups": {},
        "oomKills": 0,
    }
    write_json(str(tmp_path / RUN_FILE), run)
    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patched:
        patched.setattr(f"reconciler.monitor.children.{failing}", fail)
        with pytest.raises(OSError, match="too many open files"):
            children.adopt(str(tmp_path), "boot")
    assert os.listdir("/proc/self/fd") == before
    child = children.adopt(str(tmp_path), "boot")
    assert child is not None
    child.close()
