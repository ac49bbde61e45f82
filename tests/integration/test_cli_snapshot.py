"""Verbs that are called often load their modules from a snapshot, if that is what they need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler
from reconciler import Engine
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a directory with a copy of the package, without byte code."""
    assert reconciler.__file__
    package = Path(reconciler.__file__).parent
    schemas = package.parent / "schemas"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "site/reconciler", ignore=ignored)
    if schemas.is_dir():
        shutil.copytree(schemas, tmp_path / "site/schemas")
    return tmp_path / "site"


def test_a_snapshot_is_kept_of_a_run_that_is_like_the_next(
    site: Path, run_dirs: RunDirs, engine: Engine, tmp_path: Path
) -> None:
    source = tmp_path / "conf"
    source.mkdir()
    (source / "web.yaml").write_text("command: [sleep, '1000']\n")
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    environ = inherited | run_dirs.environ | {"PYTHONPATH": str(site)}

    def apply() -> tuple[str, bool]:
        """Return what it printed, and whether its modules were looked for one by one."""
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "reconciler", "apply", str(source)],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, " reconciler.control.reconcile\n" in done.stderr

    def kept() -> list[str]:
        return [path.name for path in site.glob("reconciler/__pycache__/cli-apply.*")]

    made, _ = apply()  # no byte code yet, and the YAML is parsed
    assert "web" in made
    assert kept() == []
    unchanged, is_searched = apply()
    assert is_searched
    assert len(kept()) == 1
    assert apply() == (unchanged, False)
    assert engine.handle("web").status() == "running"
    (source / "job.yaml").write_text("command: [sleep, '2000']\n")
    changed, is_searched = apply()  # with what is not in the snapshot
    assert ("job" in changed, is_searched) == (True, False)
    assert len(kept()) == 1
