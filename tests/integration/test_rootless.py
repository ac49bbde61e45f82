"""An ordinary user's containers: a user namespace of their own, no cgroup, everything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UID = 12345

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("setpriv")]

Run = Callable[..., subprocess.CompletedProcess[str]]


def _user_python() -> str:
    """Return an interpreter of this version that an ordinary user may execute."""
    name = f"python3.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        if os.path.exists(path) and _as_user(path, "-c", "import json").returncode == 0:
            return path
    pytest.skip(f"no {name} that an ordinary user may execute")


def _as_user(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ids = ("--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--bounding-set=-all")
    return subprocess.run(
        ["setpriv", *ids, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], **environment},
        timeout=60,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a directory of the user's own."""
    path = Path(tempfile.mkdtemp(prefix="rc-user-"))
    os.chown(path, UID, UID)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def reconciler(home: Path) -> Iterator[Run]:
    """Return a function that runs the command line as the user, with directories of its own."""
    python = _user_python()
    packages = sysconfig.get_paths()["purelib"]

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        places = ("--run-dir", str(home / "run"), "--state-dir", str(home / "state"))
        paths = f"{ROOT}:{packages}"
        return _as_user(
            python, "-m", "reconciler", *places, *args, PYTHONPATH=paths, HOME=str(home)
        )

    yield run
    assert run("destroy", "--all").returncode == 0


@pytest.fixture
def source(home: Path) -> Path:
    path = home / "specs"
    path.mkdir()
    return path


SLEEPER = (
    "command: [sh, -c, \"trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done\"]\n"
)


def test_a_container_is_created_seen_entered_and_destroyed(reconciler: Run, source: Path) -> None:
    (source / "web.yaml").write_text(SLEEPER)
    applied = reconciler("apply", str(source))
    assert (applied.returncode, applied.stdout.splitlines()[0]) == (0, "created web")
    assert reconciler("plan", "--detailed-exitcode", str(source)).returncode == 0
    entered = reconciler("exec", "web", "cat", "/proc/self/uid_map")
    assert entered.stdout.split() == ["0", str(UID), "1"]
    (source / "web.yaml").unlink()
    assert reconciler("apply", "--allow-empty", str(source)).returncode == 0
    assert reconciler("status").stdout.startswith("no containers of this user; ")


def test_a_stop_is_graceful(reconciler: Run, source: Path) -> None:
    (source / "web.yaml").write_text(SLEEPER)
    assert reconciler("apply", str(source)).returncode == 0
    (source / "web.yaml").write_text(SLEEPER + "state: stopped\n")
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("logs", "web").stdout.split() == ["up", "bye"]


def test_its_processes_have_no_capability_and_run_as_the_user(
    reconciler: Run, source: Path
) -> None:
    script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /usr/x; touch /tmp/x"
    (source / "job.yaml").write_text(f'kind: Job\ncommand: [sh, -c, "{script}; echo $?"]\n')
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("wait", "job", "--for", "completed").returncode == 0
    rows = reconciler("logs", "job").stdout.splitlines()
    assert [row.split()[-1] for row in rows if ":" in row and "touch" not in row] == [
        "0000000000000000",
        "1",
        "2",
    ]
    assert "0" in rows
    assert any("Read-only file system" in row for row in rows)


def test_an_overlay_root_is_written_to_and_kept_over_a_restart(
    reconciler: Run, source: Path, rootfs: Path
) -> None:
    lower = shutil.copytree(rootfs, source.parent / "lower", symlinks=True)
    spec = (
        f"rootfs: {{path: {lower}, overlay: true}}\nkind: Job\n"
        'command: [/bin/sh, -c, "cat /kept; echo once >> /kept"]\n'
    )
    (source / "job.yaml").write_text(spec)
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("wait", "job", "--for", "completed").returncode == 0
    (source / "job.yaml").write_text(spec + "env: {AGAIN: yes-please}\n")
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("wait", "job", "--for", "completed").returncode == 0
    assert "once" in reconciler("logs", "job").stdout.splitlines()
    assert not (lower / "kept").exists()


def test_a_limit_without_a_delegated_cgroup_is_refused_with_what_gives_one(
    reconciler: Run, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEPER + "resources: {memory: {max: 64Mi}}\n")
    applied = reconciler("apply", str(source))
    assert applied.returncode == 1
    said = applied.stdout + applied.stderr
    assert "resources.memory.max" in said
    assert "run it as root" in said


def test_a_preferred_limit_does_not_keep_it_from_running(reconciler: Run, source: Path) -> None:
    (source / "web.yaml").write_text(
        SLEEPER
        + "resources: {memory: {max: 64Mi}}\nenforcement: {resources.memory.max: preferred}\n"
    )
    assert reconciler("apply", str(source)).returncode == 0
    assert "resources.memory.max" in reconciler("status", "--output", "json", str(source)).stdout


def test_a_user_that_is_not_mapped_is_refused_before_the_start(
    reconciler: Run, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEPER + 'user: "4321"\n')
    applied = reconciler("apply", str(source))
    assert applied.returncode == 1
    assert "4321" in applied.stdout + applied.stderr
