"""The README's first command, and every file in examples/, as a new user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the user's; its output is kept."""
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_first_command_installs_converges_and_says_how_to_go_on(
    run_dirs: RunDirs, tmp_path: Path
) -> None:
    environ = run_dirs.environ | {"RECONCILER_EXAMPLE_VENV": str(tmp_path / "venv")}
    reconciler = tmp_path / "venv/bin/reconciler"
    try:
        first = run(ROOT / "examples/run", environ=environ)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "Go on:" in first.stdout
        assert "destroy --all" in first.stdout
        status = json.loads(run(reconciler, "status", "--output", "json", environ=environ).stdout)
        states = {item["name"]: item["state"] for item in status["items"]}
        assert states == {"hello": "completed", "site": "running", "web": "running"}
        again = run(ROOT / "examples/run", environ=environ)
        assert again.returncode == 0
        assert "installing" not in again.stdout
        assert "nothing to do" in again.stdout
    finally:
        if reconciler.exists():
            run(reconciler, "destroy", "--all", environ=environ)


def test_every_example_is_valid() -> None:
    done = run(
        sys.executable, "-m", "reconciler", "validate", ROOT / "examples/quickstart", environ={}
    )
    assert done.returncode == 0, done.stdout


def test_the_spec_in_the_readme_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    spec = text.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "web.yaml").write_text(spec)
    done = run(sys.executable, "-m", "reconciler", "validate", tmp_path, environ={})
    assert done.returncode == 0, done.stdout


def test_the_python_in_the_readme_runs(run_dirs: RunDirs) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    code = code.replace("/run/example", str(run_dirs.run_dir))
    code = code.replace("/var/lib/example", str(run_dirs.state_dir))
    done = run(sys.executable, "-c", code + "\nengine.retire()", environ={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" exit code 3\n")
