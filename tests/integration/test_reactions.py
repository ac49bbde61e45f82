"""Files that a spec refers to change on the real kernel: signal, exec, restart, ignore."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode
from tests.integration.conftest import output
from tests.integration.daemon import Daemon

pytestmark = pytest.mark.requires_root

# Says what it reads in its configuration: at first, and with each HUP.
SERVER = (
    "trap 'echo hup $(cat /conf/app)' HUP; echo $(cat /conf/app) $A; "
    "while :; do sleep 1000 & wait $!; done"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    (path / "conf").mkdir(parents=True)
    (path / "conf" / "app").write_text("one")
    return path


@pytest.fixture
def write(source: Path, rootfs: Path) -> Callable[..., None]:
    (rootfs / "conf").mkdir()

    def made(reaction: str, *more: str, script: str = SERVER, mount: str = "conf") -> None:
        lines = [
            f'command: [/bin/sh, -c, "{script}"]',
            f"rootfs: {{path: {rootfs}}}",
            "mounts:",
            "  - {type: tmpfs, target: /tmp}",
            f"  - {{type: bind, source: {mount}, target: /{mount}, onChange: {reaction}}}",
            *more,
        ]
        (source / "web.yaml").write_text("\n".join(lines))

    return made


def converge(engine: Engine, source: Path) -> PassReport:
    return Reconciler(engine, [str(source)]).converge()


def done(report: PassReport) -> list[str]:
    assert [str(one.error) for one in report.outcomes if one.error is not None] == []
    assert report.plan.actions == ()
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def await_output(engine: Engine, lines: list[str]) -> None:
    while output(engine, "web") != lines:
        os.sched_yield()


def pid_of(engine: Engine) -> int:
    init = engine.load("web").record.init
    assert init is not None
    return init.pid


def test_a_changed_file_in_a_mounted_directory_is_told_by_a_signal(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write("{signal: HUP}")
    assert done(converge(engine, source)) == ["create web"]
    await_output(engine, ["one"])
    assert done(converge(engine, source)) == []
    pid = pid_of(engine)
    told = ["one"]
    for text in ("two", "three"):
        (source / "conf" / "new").write_text(text)
        os.rename(source / "conf" / "new", source / "conf" / "app")
        assert done(converge(engine, source)) == ["react web"]
        await_output(engine, told := [*told, f"hup {text}"])
    assert done(converge(engine, source)) == []
    assert pid_of(engine) == pid


def test_a_swapped_data_link_is_told_once(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    conf = source / "conf"
    (conf / "app").unlink()
    for version in ("1", "2"):
        (conf / f"..{version}").mkdir()
        (conf / f"..{version}" / "app").write_text(f"v{version}")
    (conf / "..data").symlink_to("..1")
    (conf / "app").symlink_to("..data/app")
    write("{signal: HUP}")
    converge(engine, source)
    await_output(engine, ["v1"])
    (conf / "..tmp").symlink_to("..2")
    os.rename(conf / "..tmp", conf / "..data")
    assert done(converge(engine, source)) == ["react web"]
    assert done(converge(engine, source)) == []
    await_output(engine, ["v1", "hup v2"])


def test_a_command_runs_in_the_container_as_its_user(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    reload = '{exec: [/bin/sh, -c, "id -u > /tmp/uid; cat /conf/app > /tmp/seen"]}'
    write(reload, "user: '1500'")
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "conf" / "app").write_text("two")
    assert done(converge(engine, source)) == ["react web"]
    inside = Path(f"/proc/{pid_of(engine)}/root/tmp")
    assert (inside / "seen").read_text() == "two"
    assert (inside / "uid").read_text() == "1500\n"


def test_a_command_that_fails_is_told_with_its_last_words_and_is_tried_again(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write('{exec: [/bin/sh, -c, "cat /conf/app; test -e /tmp/good || { echo no; exit 3; }"]}')
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "conf" / "app").write_text("two")
    report = converge(engine, source)
    errors = [one.error for one in report.outcomes if one.error is not None]
    assert {error.code for error in errors} == {ErrorCode.ReactionFailed}
    assert "exit code 3: twono" in str(errors[0])
    assert Reconciler(engine, [str(source)]).run_pass().outcomes == ()  # it waits its backoff
    Path(f"/proc/{pid_of(engine)}/root/tmp/good").touch()
    assert done(converge(engine, source)) == ["react web"]


def test_a_command_that_hangs_is_killed_in_time(
    engine: Engine, source: Path, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.control.reactions.REACTION_TIMEOUT_S", 0.2)
    write('{exec: [/bin/sh, -c, "echo busy; sleep 1000"]}')
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "conf" / "app").write_text("two")
    errors = [str(one.error) for one in converge(engine, source).outcomes]
    assert errors[0].endswith("it took too long: busy")


def test_a_signal_that_the_command_does_not_handle_is_a_failure(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write("{signal: USR1}")
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "conf" / "app").write_text("two")
    [error, *_] = [one.error for one in converge(engine, source).outcomes]
    assert error is not None
    assert error.code is ErrorCode.ReactionFailed
    assert "does not handle SIGUSR1" in str(error)


def test_a_restart_and_nothing_for_ignore(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write("restart")
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "conf" / "app").write_text("two")
    assert done(converge(engine, source)) == ["restart web"]
    await_output(engine, ["one", "two"])
    write("ignore")
    converge(engine, source)
    (source / "conf" / "app").write_text("three")
    assert done(converge(engine, source)) == []


def test_while_it_is_paused_nothing_is_told_and_afterwards_it_is(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write("{signal: HUP}")
    converge(engine, source)
    await_output(engine, ["one"])
    write("{signal: HUP}", "state: paused")
    converge(engine, source)
    (source / "conf" / "app").write_text("two")
    assert done(converge(engine, source)) == []
    write("{signal: HUP}")
    assert done(converge(engine, source)) == ["resume web", "react web"]
    await_output(engine, ["one", "hup two"])


def test_a_mounted_file_that_was_replaced_is_shown_by_a_restart_and_one_written_in_place_told(
    engine: Engine, source: Path, rootfs: Path, write: Callable[..., None]
) -> None:
    (rootfs / "app").touch()
    (source / "app").write_text("one")
    write("{signal: HUP}", script=SERVER.replace("/conf/app", "/app"), mount="app")
    converge(engine, source)
    await_output(engine, ["one"])
    (source / "app").write_text("two")
    assert done(converge(engine, source)) == ["react web"]
    await_output(engine, ["one", "hup two"])
    (source / "new").write_text("three")
    os.rename(source / "new", source / "app")
    assert done(converge(engine, source)) == ["restart web"]
    await_output(engine, ["one", "hup two", "three"])


def test_a_directory_that_was_replaced_is_shown_by_a_restart(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    write("{signal: HUP}")
    converge(engine, source)
    await_output(engine, ["one"])
    os.rename(source / "conf", source / "old")
    assert done(converge(engine, source)) == []
    (source / "conf").mkdir()
    (source / "conf" / "app").write_text("two")
    assert done(converge(engine, source)) == ["restart web"]
    await_output(engine, ["one", "two"])


def test_a_changed_env_file_is_for_the_next_start_where_it_asks_for_no_restart(
    engine: Engine, source: Path, write: Callable[..., None]
) -> None:
    (source / "a.env").write_text("A=1")
    write("ignore", "envFile: [{path: a.env, onChange: {signal: HUP}}]")
    converge(engine, source)
    await_output(engine, ["one 1"])
    pid = pid_of(engine)
    (source / "a.env").write_text("A=2")
    assert done(converge(engine, source)) == ["react web"]
    assert done(converge(engine, source)) == []
    await_output(engine, ["one 1", "hup one"])
    assert pid_of(engine) == pid
    os.kill(pid, signal.SIGKILL)
    assert done(converge(engine, source)) in (["start web"], ["restart web"], [])
    while len(output(engine, "web")) < 3:
        converge(engine, source)
    await_output(engine, ["one 1", "hup one", "one 2"])


def test_the_daemon_hears_of_a_change_deep_in_a_mounted_directory(
    engine: Engine, source: Path, write: Callable[..., None], watch: Callable[..., Daemon]
) -> None:
    write("{signal: HUP}")
    (source / "conf" / "sub").mkdir()
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    await_output(engine, ["one"])
    (source / "conf" / "sub" / "more").write_text("new")
    fields: Any = daemon.await_action("react", "web")["fields"]
    assert fields == [f"mounts.{source}/conf content"]
    await_output(engine, ["one", "hup one"])


def test_the_daemon_tells_of_a_swapped_data_link_and_of_an_env_file(
    engine: Engine, source: Path, write: Callable[..., None], watch: Callable[..., Daemon]
) -> None:
    conf = source / "conf"
    (conf / "app").unlink()
    for version in ("1", "2"):
        (conf / f"..{version}").mkdir()
        (conf / f"..{version}" / "app").write_text(f"v{version}")
    (conf / "..data").symlink_to("..1")
    (conf / "app").symlink_to("..data/app")
    env = source.parent / "a.env"
    env.write_text("A=1")
    write("{signal: HUP}", "envFile: [{path: ../a.env, onChange: {signal: HUP}}]")
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    await_output(engine, ["v1 1"])
    (conf / "..tmp").symlink_to("..2")
    os.rename(conf / "..tmp", conf / "..data")
    daemon.await_action("react", "web")
    await_output(engine, ["v1 1", "hup v2"])
    env.write_text("A=2")
    assert daemon.await_action("react", "web")["fields"] == ["env.A", f"envFile.{env} content"]
    await_output(engine, ["v1 1", "hup v2", "hup v2"])
