"""What wakes a real `reconciler watch` beside spec files: all that they are made from.

The interval is an hour: only the change itself can have woken it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.wake import wake_daemons
from tests.conftest import RunDirs
from tests.integration.daemon import SLEEP, Daemon, pid_of

pytestmark = pytest.mark.requires_root

Watch = Callable[..., Daemon]

WITH_ENV = SLEEP + "envFile: ../env/web.env\nstop: {signal: KILL}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "conf"
    made.mkdir()
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "web.env").write_text("A=one\n")
    return made


def limit(number: int) -> str:
    return f"resources: {{pids: {{max: {number}}}}}\n"


def await_limit(daemon: Daemon, engine: Engine, number: int) -> None:
    assert daemon.await_action("update", "web")["fields"] == ["resources.pids.max"]
    assert engine.load("web").limits()["resources.pids.max"] == number


def start(watch: Watch, source: Path, text: str = SLEEP) -> Daemon:
    """Return a daemon that has made its container."""
    (source / "web.yaml").write_text(text)
    daemon = watch("--interval", "1h", "--debug")
    daemon.await_action("create", "web")
    return daemon


@pytest.mark.parametrize("directory", ["web.yaml.d", "container.d"])
def test_a_drop_in_that_is_added_edited_and_removed_counts_at_once(
    directory: str, watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = start(watch, source, SLEEP + limit(11))
    (source / directory).mkdir()
    (source / directory / "1.yaml").write_text(limit(22))
    await_limit(daemon, engine, 22)
    (source / directory / "1.yaml").write_text(limit(33))
    await_limit(daemon, engine, 33)
    (source / directory / "1.yaml").unlink()
    await_limit(daemon, engine, 11)


def test_a_seccomp_profile_elsewhere_that_is_edited_counts_at_once_and_hooks_run_again(
    watch: Watch, engine: Engine, source: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "env" / "web.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    hook = tmp_path / "env" / "hook"
    hook.write_text(f"#!/bin/sh\ncat >> {tmp_path}/told\n")
    hook.chmod(0o755)
    fields = "security: {seccomp: {profile: ../env/web.json}}\nstop: {signal: KILL}\n"
    fields += "hooks: {createRuntime: [{command: [../env/hook]}]}\n"
    daemon = start(watch, source, SLEEP + fields)
    first = pid_of(engine, "web")
    rule = '{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}'
    profile.write_text(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    changed = daemon.await_action("restart", "web")["fields"]
    assert changed == ["security.seccomp.profile"]
    assert pid_of(engine, "web") != first
    assert (tmp_path / "told").read_text().count('"status": "creating"') == 2


def test_an_env_file_elsewhere_that_is_edited_or_replaced_with_its_directory_counts_at_once(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = start(watch, source, WITH_ENV)
    env = source.parent / "env"
    (env / "web.env").write_text("A=two\n")
    daemon.await_action("restart", "web")
    assert engine.load("web").record.config.env["A"] == "two"
    (source.parent / "next").mkdir()
    (source.parent / "next" / "web.env").write_text("A=three\n")
    env.rename(source.parent / "last")
    (source.parent / "next").rename(env)
    daemon.await_action("restart", "web")
    assert engine.load("web").record.config.env["A"] == "three"


def test_the_target_of_a_linked_spec_counts_at_once(
    watch: Watch, engine: Engine, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (source / "web.yaml").symlink_to("../elsewhere/web.yaml")
    daemon = start(watch, source, SLEEP + limit(11))
    (tmp_path / "elsewhere" / "new").write_text(SLEEP + limit(22))
    (tmp_path / "elsewhere" / "new").rename(tmp_path / "elsewhere" / "web.yaml")
    await_limit(daemon, engine, 22)


def test_a_config_map_that_is_swapped_counts_at_once_again_and_again(
    watch: Watch, engine: Engine, source: Path
) -> None:
    (source / "..1").mkdir()
    (source / "..data").symlink_to("..1")
    (source / "web.yaml").symlink_to("..data/web.yaml")
    daemon = start(watch, source, SLEEP + limit(1))
    pid = pid_of(engine, "web")
    for number in (22, 33):
        (source / f"..{number}").mkdir()
        (source / f"..{number}" / "web.yaml").write_text(SLEEP + limit(number))
        (source / "..tmp").symlink_to(f"..{number}")
        (source / "..tmp").rename(source / "..data")
        await_limit(daemon, engine, number)
    assert pid_of(engine, "web") == pid


def test_a_source_that_is_replaced_as_a_whole_counts_at_once_again_and_again(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = start(watch, source, SLEEP + limit(11))
    pid = pid_of(engine, "web")
    for number in (22, 33):
        made = source.with_name("next")
        made.mkdir()
        (made / "web.yaml").write_text(SLEEP + limit(number))
        source.rename(source.with_name(f"old{number}"))
        made.rename(source)
        await_limit(daemon, engine, number)
    (source / "web.yaml").write_text(SLEEP + limit(44))
    await_limit(daemon, engine, 44)
    assert pid_of(engine, "web") == pid


@pytest.mark.requires_command("git")
def test_what_is_gone_during_a_git_checkout_is_destroyed_once_it_is_done(
    watch: Watch, engine: Engine, source: Path
) -> None:
    subprocess.run(["git", "init", "-q", str(source.parent)], check=True)
    for name in ("db", "two"):
        (source / f"{name}.yaml").write_text(SLEEP)
    daemon = start(watch, source)
    lock = source.parent / ".git" / "index.lock"
    lock.touch()
    (source / "db.yaml").unlink()
    daemon.await_message("git replaces the files here")
    assert engine.store.ids() == ["db", "two", "web"]
    lock.unlink()
    daemon.await_action("destroy", "db")


def test_without_inotify_it_says_so_and_looks_at_the_same_files(
    run_dirs: RunDirs, source: Path
) -> None:
    """In a user namespace of its own, so that nobody else meets the limit."""
    probe = ["unshare", "--user", "--map-root-user", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces: sysctl user.max_user_namespaces")
    script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"'
    program = ["unshare", "--user", "--map-root-user", "sh", "-c", script, sys.executable]
    options = ("--interval", "1h", "--poll", "50ms", "--debug")
    daemon = Daemon(run_dirs, source, *options, program=program)
    try:
        told = daemon.await_record(lambda one: one.get("name") == "WatchLimit")
        assert told["message"].endswith(
            "inotify instance limit reached; looking at them every 0.05 s instead"
        )
        (source / "web.yaml").write_text("command: 5\n")
        daemon.await_message("expected a list")
        (source / "web.yaml.d").mkdir()
        (source / "web.yaml.d" / "1.yaml").write_text("zzz: 5\n")
        daemon.await_message("zzz")
        (source / "web.yaml").write_text("command: [a]\nenvFile: ../env/gone.env\n")
        daemon.await_message("gone.env")
        (source.parent / "env" / "gone.env").write_text("no variable\n")
        daemon.await_record(lambda one: (one.get("file") or "").endswith("gone.env"))
        wake_daemons(str(run_dirs.run_dir))
        daemon.await_message("pass: files changed")
    finally:
        assert daemon.end() == 0
