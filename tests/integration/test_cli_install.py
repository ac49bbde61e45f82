"""`install` and `uninstall` where no systemd runs: files, words and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root


def reconciler(*arguments: str, dirs: RunDirs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        env=os.environ | dirs.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_dry_run_prints_units_and_commands_and_writes_nothing(
    run_dirs: RunDirs, tmp_path: Path
) -> None:
    units = tmp_path / "units"
    shown = reconciler("install", "--dry-run", "--unit-dir", str(units), dirs=run_dirs)
    assert shown.returncode == 0
    assert "Type=notify" in shown.stdout
    assert "#   systemctl enable --now reconciler-" in shown.stdout
    assert not units.exists()


def test_what_is_installed_is_told_and_again_is_nothing_new(
    run_dirs: RunDirs, tmp_path: Path
) -> None:
    options = ("--unit-dir", str(tmp_path), "--output", "json")
    first = json.loads(reconciler("install", *options, dirs=run_dirs).stdout)
    assert {one["change"] for one in first["items"]} == {"written"}
    again = json.loads(reconciler("install", *options, dirs=run_dirs).stdout)
    assert {one["change"] for one in again["items"]} == {"unchanged"}
    assert not any("daemon-reload" in line for line in again["commands"])
    removed = json.loads(reconciler("uninstall", *options, dirs=run_dirs).stdout)
    assert len(removed["items"]) == 4
    assert list(tmp_path.iterdir()) == []
    assert reconciler("uninstall", *options[:2], dirs=run_dirs).stdout.startswith("nothing to")


def test_how_often_is_for_a_timer_alone(run_dirs: RunDirs) -> None:
    refused = reconciler("install", "--every", "5m", "--dry-run", dirs=run_dirs)
    assert refused.returncode == 64
    assert "--every is how often a timer runs: add --timer, or leave it out" in refused.stderr
    shown = reconciler("install", "--timer", "--dry-run", dirs=run_dirs).stdout
    assert "OnUnitInactiveSec=60" in shown
    shown = reconciler("install", "--timer", "--every", "5m", "--dry-run", dirs=run_dirs).stdout
    assert "OnUnitInactiveSec=300" in shown


def test_instances_have_units_of_their_own(run_dirs: RunDirs, tmp_path: Path) -> None:
    done = reconciler("install", "--unit-dir", str(tmp_path), dirs=run_dirs)
    assert done.returncode == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert all(name.startswith("reconciler-") for name in names)
    daemon = next(path for path in tmp_path.iterdir() if path.name == names[-1])
    assert f"--run-dir {run_dirs.run_dir}" in daemon.read_text()


def test_an_edited_unit_is_refused_with_what_to_do(run_dirs: RunDirs, tmp_path: Path) -> None:
    options = ("--unit-dir", str(tmp_path))
    reconciler("install", *options, dirs=run_dirs)
    edited = next(path for path in tmp_path.iterdir() if path.suffix == ".socket")
    edited.write_text(edited.read_text().replace("0600", "0660"))
    for verb in ("install", "uninstall"):
        refused = reconciler(verb, *options, dirs=run_dirs)
        assert refused.returncode == 1
        assert "UnitNotOurs 170" in refused.stderr
        assert "--force" in refused.stderr
    assert "0660" in edited.read_text()
    assert reconciler("install", "--force", *options, dirs=run_dirs).returncode == 0
    assert "0600" in edited.read_text()


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs here")
def test_without_systemd_doctor_and_install_say_so(run_dirs: RunDirs) -> None:
    found = reconciler("doctor", "--output", "json", dirs=run_dirs)
    (check,) = [one for one in json.loads(found.stdout)["items"] if one["name"] == "systemd"]
    assert check["status"] == "OK"
    assert check["found"] == "is not the init of this host"


def test_root_has_no_user_units(run_dirs: RunDirs) -> None:
    refused = reconciler("install", "--user", "--dry-run", dirs=run_dirs)
    assert refused.returncode == 64
    assert "leave it out" in refused.stderr
