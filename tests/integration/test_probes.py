"""Probes at work: the daemon's scheduler, one-shot rounds, and what becomes of their verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.control.by_hand import pause, resume
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.linux.clock import wall_s
from tests.conftest import RunDirs
from tests.e2e.waiting import wait_until
from tests.integration.daemon import Daemon, pid_of

pytestmark = pytest.mark.requires_root

# A directory of the host that is the container's /run/flags: tests say by files in it what passes.
SPEC = """
command: [sleep, "1000"]
mounts: [{{type: bind, source: {flags}, target: /run/flags}}]
user: "0:0"
restart: {{backoff: {{initial: 10ms}}}}
probes:
"""
HTTP = """
command: [python3, -m, http.server, "8080", --bind, 127.0.0.1, --directory, /tmp]
mounts: [{type: tmpfs, target: /tmp}]
probes:
  startup: {tcp: {port: 8080}, interval: 100ms, timeout: 5s, failureThreshold: 200}
  readiness: {http: {port: 8080, path: /}, interval: 100ms, timeout: 5s}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    path = tmp_path / "flags"
    path.mkdir()
    path.chmod(0o777)
    return path


def write(source: Path, flags: Path, probes: str) -> None:
    (source / "web.yaml").write_text(SPEC.format(flags=flags) + probes)


def needs(flag: str, more: str = "") -> str:
    """Return a probe that passes while the flag is there, and fails at once while it is not."""
    return f"{{exec: [test, -e, /run/flags/{flag}], interval: 100ms, timeout: 20s{more}}}\n"


def ready(engine: Engine, source: Path) -> dict[str, Any]:
    """Return the condition Ready of web as any process sees it."""
    (item,) = status_items(Reconciler(engine, [str(source)]).plan())
    return next(one for one in item["conditions"] if one["type"] == "Ready")


def apply(engine: Engine, source: Path) -> PassReport:
    """Apply once, as cron does."""
    return Reconciler(engine, [str(source)]).converge()


def cli(dirs: RunDirs, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        env=os.environ | dirs.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_server_becomes_ready_under_the_daemon_and_wait_tells_when(
    watch: Callable[..., Daemon], source: Path, run_dirs: RunDirs, engine: Engine
) -> None:
    (source / "web.yaml").write_text(HTTP)
    daemon = watch("--interval", "1h")
    done = cli(run_dirs, "wait", "web", "--for", "Ready", "--timeout", "30s")
    assert (done.returncode, done.stdout) == (0, "web is Ready\n")
    daemon.await_message("its startup probe passes")
    daemon.await_message("its readiness probe passes")
    condition = ready(engine, source)
    assert (condition["status"], condition["reason"]) == ("True", "ProbePasses")
    assert condition["lastTransitionAt"] is not None


def test_readiness_and_liveness_are_not_asked_before_startup_has_passed(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine, run_dirs: RunDirs
) -> None:
    noted = "{exec: [touch, /run/flags/asked], interval: 100ms, timeout: 20s}\n"
    startup = needs("started", ", failureThreshold: 1000000")
    write(source, flags, f"  startup: {startup}  readiness: {noted}  liveness: {noted}")
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    health = Path(engine.run_dir, "containers/web/health.json")
    wait_until(
        lambda: health.exists() and json.loads(health.read_text())["startup"]["failures"],
        "the startup probe has failed",
    )
    assert not (flags / "asked").exists()
    told = cli(run_dirs, "why", "web").stdout
    assert "probe     startup has not passed yet, " in told
    assert "probe     readiness has not been checked yet\n" in told
    condition = ready(engine, source)
    assert (condition["status"], condition["reason"]) == ("False", "Starting")
    assert condition["message"].startswith("its startup probe has not passed yet: exit code 1")
    (flags / "started").touch()
    daemon.await_message("its startup probe passes")
    wait_until((flags / "asked").exists, "the others are asked")


def test_a_failed_liveness_probe_restarts_the_container_by_its_policy(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine
) -> None:
    (flags / "alive").touch()
    write(source, flags, "  liveness: " + needs("alive", ", failureThreshold: 2"))
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    daemon.await_message("its liveness probe passes")
    pid = pid_of(engine, "web")
    (flags / "alive").unlink()
    failure = daemon.await_message("its liveness probe failed 2 times in a row: exit code 1")
    assert (failure["name"], failure["level"]) == ("ProbeFailed", "error")
    stopped = daemon.await_action("stop", "web")
    assert stopped["reason"] == "its liveness probe failed 2 times in a row: exit code 1"
    started = daemon.await_action("start", "web")
    assert started["reason"] == f"it was stopped: {stopped['reason']}; restart 1"
    assert pid_of(engine, "web") != pid
    # The new run begins anew, and fails for itself.
    daemon.await_message("its liveness probe failed 2 times")
    assert daemon.await_action("start", "web")["reason"].endswith("; restart 2")


def test_with_the_policy_never_it_is_left_stopped_as_failed_and_why_tells(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine, run_dirs: RunDirs
) -> None:
    probes = "  startup: " + needs("started", ", failureThreshold: 1")
    write(source, flags, probes)
    text = (source / "web.yaml").read_text()
    (source / "web.yaml").write_text(text.replace("{backoff: {initial: 10ms}}", "{policy: never}"))
    daemon = watch("--interval", "1h")
    daemon.await_action("stop", "web")
    wait_until(lambda: cli(run_dirs, "status", "-o", "json").stdout.count('"failed"'), "failed")
    (item,) = json.loads(cli(run_dirs, "status", "-o", "json").stdout)["items"]
    running = next(one for one in item["conditions"] if one["type"] == "Running")
    assert (item["state"], running["reason"]) == ("failed", "ProbeFailed")
    assert running["message"].startswith("its startup probe failed once: exit code 1; ")
    told = cli(run_dirs, "why", "web").stdout
    assert "stopped   as its startup probe failed once: exit code 1\n" in told


def test_what_is_paused_is_not_probed_and_goes_on_when_it_runs_again(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine
) -> None:
    asked = flags / "asked"
    script = "{exec: [sh, -c, 'echo >>/run/flags/asked'], interval: 100ms, timeout: 20s}\n"
    write(source, flags, f"  liveness: {script}")
    daemon = watch("--interval", "1h")
    daemon.await_message("its liveness probe passes")
    container = engine.load("web")
    pause(container, wall_s())
    wait_until(lambda: container.status() == "paused", "it is paused")
    assert ready(engine, source)["message"] == "it is paused"
    before = asked.stat().st_size
    # The daemon is awake, and probes another container meanwhile.
    (source / "other.yaml").write_text(HTTP)
    daemon.await_message("other: its readiness probe passes")
    assert asked.stat().st_size == before
    resume(container)
    wait_until(lambda: asked.stat().st_size > before + 1, "it is probed again")


def test_what_is_suspended_is_not_probed(
    watch: Callable[..., Daemon], run_dirs: RunDirs, source: Path, flags: Path
) -> None:
    asked = flags / "asked"
    script = "{exec: [sh, -c, 'echo >>/run/flags/asked'], interval: 100ms, timeout: 20s}\n"
    write(source, flags, f"  liveness: {script}")
    daemon = watch("--interval", "1h")
    daemon.await_message("its liveness probe passes")
    assert cli(run_dirs, "suspend", "web").returncode == 0
    (flags / "other").touch()
    text = SPEC.format(flags=flags) + "  readiness: " + needs("other")
    (source / "other.yaml").write_text(text)
    daemon.await_message("other: its readiness probe passes")
    before = asked.stat().st_size
    (flags / "other").unlink()
    daemon.await_message("other: its readiness probe failed")
    assert asked.stat().st_size == before
    assert cli(run_dirs, "unsuspend", "web").returncode == 0
    wait_until(lambda: asked.stat().st_size > before, "it is probed again")


def test_a_daemon_goes_on_from_what_the_one_before_has_found(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine
) -> None:
    (flags / "ready").touch()
    slow = "{exec: [test, -e, /run/flags/ready], interval: 1h, timeout: 20s}\n"
    write(source, flags, f"  readiness: {slow}")
    daemon = watch("--interval", "1h")
    daemon.await_message("its readiness probe passes")
    before = ready(engine, source)
    daemon.end()
    (flags / "ready").unlink()
    again = watch("--interval", "1h")
    (source / "other.yaml").write_text(HTTP)
    again.await_message("other: its readiness probe passes")
    assert ready_of(engine, source, "web") == before
    assert not any("web" in one["message"] for one in again.seen)


def ready_of(engine: Engine, source: Path, name: str) -> dict[str, Any]:
    items = status_items(Reconciler(engine, [str(source)]).plan())
    item = next(one for one in items if one["name"] == name)
    return next(one for one in item["conditions"] if one["type"] == "Ready")


def test_thresholds_work_over_successive_one_shot_applies(
    source: Path, flags: Path, engine: Engine
) -> None:
    (flags / "alive").touch()
    write(source, flags, "  liveness: " + needs("alive", ", failureThreshold: 3"))
    apply(engine, source)
    health = Path(engine.run_dir, "containers/web/health.json")

    def failures() -> int:
        """Apply, and return how many failures in a row are known then."""
        done = apply(engine, source)
        found = json.loads(health.read_text()) if health.exists() else {}
        known = int(found.get("liveness", {}).get("failures", 0))
        assert bool(done.outcomes) is (known >= 3)
        return known

    assert failures() == 0
    (flags / "alive").unlink()
    counts = [0]
    while counts[-1] < 3:
        counts.append(failures())
    assert sorted(set(counts)) == [0, 1, 2, 3]
    assert counts == sorted(counts)
    wait_until(lambda: bool(apply(engine, source).outcomes), "it is started again")
    (item,) = status_items(Reconciler(engine, [str(source)]).plan())
    assert item["restarts"] == 1


def test_an_apply_while_the_daemon_probes_leaves_that_to_it(
    watch: Callable[..., Daemon], source: Path, flags: Path, engine: Engine
) -> None:
    script = "{exec: [sh, -c, 'echo >>/run/flags/asked'], interval: 1h, timeout: 20s}\n"
    write(source, flags, f"  readiness: {script}")
    daemon = watch("--interval", "1h")
    daemon.await_message("its readiness probe passes")
    health = Path(engine.run_dir, "containers/web/health.json")
    found = json.loads(health.read_text())
    found["readiness"]["checked_at"] = 1.0  # so that it is overdue for whoever reads it
    health.write_text(json.dumps(found))
    apply(engine, source)
    assert (flags / "asked").read_text() == "\n"
    daemon.end()
    health.write_text(json.dumps(found))
    apply(engine, source)
    assert (flags / "asked").read_text() == "\n\n"
