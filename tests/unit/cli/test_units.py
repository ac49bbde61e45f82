from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.cli.unit_files import (
    KEEP,
    REMOVE,
    REWRITE,
    WRITE,
    find_changes,
    make_changes,
    systemctl,
)
from reconciler.cli.units import Setup, all_names, command_of, is_ours, make_units, quote
from reconciler.errors import ErrorCode, ReconcilerError

DAEMON = Setup(
    name="reconciler",
    python="/usr/bin/python3",
    run_dir="/run/reconciler",
    state_dir="/var/lib/reconciler",
    sources=["/etc/reconciler", "/srv/my conf"],
    is_user=False,
    every_s=None,
    command=["reconciler", "install", "/etc/reconciler", "/srv/my conf"],
)
TIMER = DAEMON._replace(every_s=300.0)
USER = DAEMON._replace(is_user=True, run_dir="/run/user/1000/reconciler")


def texts(setup: Setup) -> dict[str, str]:
    return {unit.name: unit.text for unit in make_units(setup)}


def lines(setup: Setup, name: str) -> list[str]:
    return texts(setup)[name].splitlines()


def test_the_daemon_notifies_is_watched_and_ends_alone() -> None:
    unit = lines(DAEMON, "reconciler.service")
    for line in ("Type=notify", "WatchdogSec=180", "KillMode=process", "NoNewPrivileges=yes"):
        assert line in unit
    assert "Requires=reconciler-monitor.socket" in unit
    assert any(line.startswith("ExecReload=") for line in unit)
    start = next(line for line in unit if line.startswith("ExecStart="))
    assert start.startswith("ExecStart=/usr/bin/python3 -P -m reconciler watch /etc/reconciler")
    assert ' "/srv/my conf" --run-dir /run/reconciler --state-dir /var/lib/reconciler' in start


def test_nothing_changes_what_the_monitor_and_so_a_container_sees_or_may_do() -> None:
    unit = lines(DAEMON, "reconciler-monitor.service")
    assert "Delegate=yes" in unit
    assert "KillMode=process" in unit
    assert "OOMPolicy=continue" in unit
    forbidden = ("Private", "Protect", "Restrict", "ReadOnly", "NoNew", "Capab", "SystemCall")
    assert not [line for line in unit if line.startswith((*forbidden, "RootDir", "User="))]


@pytest.mark.parametrize("name", ["reconciler.service", "reconciler-apply.service"])
def test_what_looks_at_specs_sees_the_whole_host_and_loses_no_capability(name: str) -> None:
    unit = lines(DAEMON if name == "reconciler.service" else TIMER, name)
    hiding = ("PrivateTmp", "PrivateDevices", "ProtectHome=yes", "ProtectHome=tmpfs", "Inaccess")
    dropping = ("Capability", "ProtectKernel", "ProtectClock", "RestrictNamespaces")
    assert not [line for line in unit if line.startswith((*hiding, *dropping))]


def test_the_socket_makes_the_scope_before_it_listens() -> None:
    unit = lines(DAEMON, "reconciler-monitor.socket")
    assert "ListenSequentialPacket=/run/reconciler/monitor.sock" in unit
    assert "SocketMode=0600" in unit
    place = next(line for line in unit if line.startswith("ExecStartPre="))
    assert place.endswith("systemd_place /run/reconciler reconciler-containers.scope")


def test_a_timer_runs_one_apply_in_place_of_the_daemon() -> None:
    assert sorted(texts(TIMER)) == [
        "reconciler-apply.service",
        "reconciler-apply.timer",
        "reconciler-monitor.service",
        "reconciler-monitor.socket",
        "reconciler-shutdown.service",
    ]
    assert "Type=oneshot" in lines(TIMER, "reconciler-apply.service")
    assert "OnUnitInactiveSec=300" in lines(TIMER, "reconciler-apply.timer")


def test_both_flavours_share_the_monitor() -> None:
    first, second = texts(DAEMON), texts(TIMER)
    assert {name for name in first if first[name] == second.get(name)} == {
        "reconciler-monitor.service",
        "reconciler-monitor.socket",
        "reconciler-shutdown.service",
    }


@pytest.mark.parametrize("setup", [DAEMON, TIMER, USER])
def test_only_a_shutdown_stops_the_containers_before_the_scope_and_after_the_daemon(
    setup: Setup,
) -> None:
    unit = lines(setup, "reconciler-shutdown.service")
    assert "RefuseManualStop=yes" in unit
    assert "Before=reconciler.service reconciler-apply.service" in unit
    assert not [line for line in unit if line.startswith(("ExecStart=", "DefaultDependencies"))]
    (stop,) = [line for line in unit if line.startswith("ExecStop=")]
    assert f" -m reconciler.control.shutdown {setup.run_dir} {setup.state_dir}" in stop


def test_a_users_units_ask_for_nothing_that_his_manager_cannot_give() -> None:
    unit = lines(USER, "reconciler.service")
    assert not [line for line in unit if line.startswith(("Protect", "ReadWrite", "StateDir"))]
    assert "WantedBy=default.target" in unit
    assert lines(USER, "reconciler-monitor.socket")[-1] == "WantedBy=sockets.target"
    assert any(line.endswith(" --user") for line in lines(USER, "reconciler-monitor.socket"))


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/plain", "/plain"),
        ("a b", '"a b"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("", '""'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_a_file_tells_who_wrote_it_and_whether_it_was_edited() -> None:
    text = texts(DAEMON)["reconciler.service"]
    assert is_ours(text)
    assert command_of(text) == ["/etc/reconciler", "/srv/my conf"]
    assert not is_ours(text.replace("Restart=always", "Restart=no"))
    assert not is_ours("[Service]\n")
    assert command_of("[Service]\n") is None


def test_files_are_written_rewritten_kept_and_removed(tmp_path: Path) -> None:
    def change(setup: Setup) -> dict[str, str]:
        units = make_units(setup)
        others = [name for name in all_names("reconciler") if name not in texts(setup)]
        changes = find_changes(str(tmp_path), units, others, is_forced=False)
        make_changes(changes)
        return {one.name: one.kind for one in changes}

    assert set(change(DAEMON).values()) == {WRITE}
    assert set(change(DAEMON).values()) == {KEEP}
    assert change(DAEMON._replace(sources=["/other"]))["reconciler.service"] == REWRITE
    kinds = change(TIMER)
    assert kinds["reconciler.service"] == REMOVE
    assert kinds["reconciler-monitor.socket"] == KEEP
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(texts(TIMER))


def test_what_somebody_else_wrote_or_edited_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "reconciler.service"
    foreign.write_text("[Service]\nExecStart=/bin/true\n")
    units = make_units(DAEMON)
    with pytest.raises(ReconcilerError) as caught:
        find_changes(str(tmp_path), units, (), is_forced=False)
    assert caught.value.code is ErrorCode.UnitNotOurs
    assert str(foreign) in str(caught.value)
    make_changes(find_changes(str(tmp_path), units, (), is_forced=True))
    assert is_ours(foreign.read_text())


@pytest.mark.requires_command("systemd-analyze")
@pytest.mark.parametrize("setup", [DAEMON, TIMER])
def test_systemd_finds_no_fault_in_the_units(setup: Setup, tmp_path: Path) -> None:
    python = shutil.which("python3") or "/usr/bin/python3"
    made = make_units(setup._replace(python=python))
    for unit in made:
        (tmp_path / unit.name).write_text(unit.text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in made)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_what_systemctl_says_of_a_failure_is_told_with_its_code() -> None:
    with pytest.raises(ReconcilerError, match="cannot run `systemctl start nonsense") as caught:
        systemctl(["start", "nonsense-of-a-test.service"], is_user=False)
    assert caught.value.code is ErrorCode.SystemdFailed
