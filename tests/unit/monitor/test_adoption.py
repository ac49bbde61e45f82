"""What an earlier monitor left running is taken over, if not at once then later."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.monitor import adoption
from reconciler.monitor.adoption import Adoption


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
