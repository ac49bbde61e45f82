"""What others do to a container's namespaces and scheduling: seen, named, mended by one pass."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.errors import ErrorCode
from reconciler.linux.process import get_io_priority, set_io_priority
from tests.contract.cgroup_cell import eventually
from tests.integration.test_interference import Case

pytestmark = pytest.mark.requires_root

SPEC = """\
command: [/bin/sleep, '1000']
domainname: inside
sysctl: {net.ipv4.ip_unprivileged_port_start: 80, kernel.shmmni: 100}
scheduler: {policy: BATCH, nice: 5}
ioPriority: {class: BE, priority: 6}
restart: {backoff: {initial: 0s}}
"""


@pytest.fixture
def make(engine: Engine, tmp_path: Path) -> Callable[[str], Case]:
    """Return a maker of the container `web` from the text of its file."""
    file = tmp_path / "specs" / "web.yaml"
    file.parent.mkdir()

    def make(text: str) -> Case:
        file.write_text(text)
        case = Case(engine, file)
        assert case.mend() == ["create web: it does not exist"]
        assert case.drift() == []
        return case

    return make


@pytest.fixture
def case(make: Callable[[str], Case]) -> Case:
    return make(SPEC)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    """Give the path of a network namespace of the test's own, as `ip netns add` makes them."""
    path = tmp_path / "blue"
    path.touch()
    bind_network(path)
    yield path
    if path.stat().st_dev != tmp_path.stat().st_dev:
        subprocess.run(["umount", str(path)], check=True)


def bind_network(path: Path) -> None:
    subprocess.run(["unshare", f"--net={path}", "true"], check=True)


def enter(case: Case, *words: str) -> str:
    """Run a program of the host in namespaces of the init, as an administrator would."""
    kinds = ["--net", "--uts", "--ipc"]
    command = ["nsenter", "--target", str(case.init.pid), *kinds, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_changed_kernel_parameter_is_put_right_and_ours_stays(case: Case) -> None:
    init, ours = case.init, Path("/proc/sys/kernel/shmmni").read_text()
    enter(case, "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=1024", "kernel.shmmni=7")
    assert case.drift() == [
        ("sysctl.kernel.shmmni 7 -> 100", "enforce"),
        ("sysctl.net.ipv4.ip_unprivileged_port_start 1024 -> 80", "enforce"),
    ]
    (told,) = case.mend()
    assert told.startswith("update web: sysctl.kernel.shmmni 7 -> 100; sysctl.net.ipv4")
    names = ["net.ipv4.ip_unprivileged_port_start", "kernel.shmmni"]
    assert enter(case, "sysctl", "-n", *names).split() == ["80", "100"]
    assert (case.init, Path("/proc/sys/kernel/shmmni").read_text()) == (init, ours)
    assert case.drift() == []


def test_a_changed_domain_name_is_put_right_while_paused_too(case: Case) -> None:
    enter(case, "sysctl", "-qw", "kernel.domainname=evil")
    case.engine.load("web").pause()
    assert ("domainname evil -> inside", "enforce") in case.drift()
    assert "domainname evil -> inside" in case.mend()[0]
    assert enter(case, "sysctl", "-n", "kernel.domainname") == "inside"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["renice", "-n", "-5", "-p"], "scheduler BATCH nice=-5 -> BATCH nice=5"),
        (["chrt", "--other", "-p", "0"], "scheduler OTHER nice=5 -> BATCH nice=5"),
    ],
)
def test_more_cpu_time_than_given_is_taken_back(case: Case, command: list[str], told: str) -> None:
    pid = case.init.pid
    subprocess.run([*command, str(pid)], check=True, capture_output=True)
    assert case.drift() == [(told, "enforce")]
    assert case.mend() == [f"update web: {told}"]
    assert (os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) == (
        os.SCHED_BATCH,
        5,
    )


def test_less_than_given_may_be_the_programs_own_choice(case: Case) -> None:
    pid = case.init.pid
    os.setpriority(os.PRIO_PROCESS, pid, 19)
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    set_io_priority(3, 7, pid)
    assert case.drift() == []


def test_io_before_others_is_taken_back(case: Case) -> None:
    set_io_priority(2, 0, case.init.pid)
    told = "ioPriority BE priority=0 -> BE priority=6"
    assert case.drift() == [(told, "enforce")]
    assert case.mend() == [f"update web: {told}"]
    assert get_io_priority(case.init.pid) == (2, 6)


def test_what_the_program_may_change_by_itself_is_no_drift(make: Callable[[str], Case]) -> None:
    """It drops what it has, is nicer, takes another umask and directory, filters itself further."""
    lines = (
        "import os, time, ctypes",
        "os.umask(0o77); os.chdir('/tmp'); os.nice(7)",
        "os.setgroups([]); os.setresgid(7, 7, 7); os.setresuid(7, 7, 7)",
        "assert ctypes.CDLL(None).prctl(22, 1, 0, 0, 0) in (0, -1)",
        "open('/tmp/done', 'w').close(); time.sleep(1000)",
    )
    case = make(
        f'command: [python3, -c, "{"; ".join(lines)}"]\n'
        "user: '0:0'\ngroups: [5, 6]\numask: '0027'\nscheduler: {policy: OTHER}\n"
        "security: {capabilities: [SETUID, SETGID]}\n"
    )
    done = Path(f"/proc/{case.init.pid}/root/tmp/done")
    assert eventually(done.exists)
    assert case.drift() == []
    assert case.mend() == []


def test_a_joined_network_that_was_made_anew_is_joined_by_a_restart(
    make: Callable[[str], Case], network: Path
) -> None:
    case = make(f"command: [/bin/sleep, '1000']\nnamespaces: {{network: {network}}}\n")
    init = case.init
    subprocess.run(["umount", str(network)], check=True)
    assert case.drift() == [(f"namespaces.network one whose path is gone -> {network}", "report")]
    bind_network(network)
    told = f"namespaces.network another one -> {network}"
    assert case.drift() == [(told, "enforce")]
    assert case.mend() == [f"restart web: {told}"]
    assert case.init != init
    assert os.stat(f"/proc/{case.init.pid}/ns/net").st_ino == network.stat().st_ino


def test_an_interface_that_was_plugged_in_is_told_and_left_to_who_did_it(
    make: Callable[[str], Case],
) -> None:
    case = make("command: [/bin/sleep, '1000']\n")
    enter(case, "ip", "link", "add", "plugged", "type", "veth", "peer", "name", "other")
    assert case.drift() == [("network other, plugged -> none", "report")]
    assert case.mend() == []
    enter(case, "ip", "link", "del", "plugged")
    assert case.drift() == []


def test_the_policy_of_a_field_decides(make: Callable[[str], Case]) -> None:
    fields = "{sysctl.kernel.shmmni: report, scheduler: ignore, domainname: enforce}"
    case = make(f"{SPEC}drift: {{fields: {fields}, policy: report}}\n")
    os.setpriority(os.PRIO_PROCESS, case.init.pid, -5)
    enter(case, "sysctl", "-qw", "kernel.shmmni=7", "kernel.domainname=evil")
    assert sorted(case.drift()) == [
        ("domainname evil -> inside", "enforce"),
        ("scheduler BATCH nice=-5 -> BATCH nice=5", "ignore"),
        ("sysctl.kernel.shmmni 7 -> 100", "report"),
    ]
    assert case.mend() == ["update web: domainname evil -> inside"]
    assert case.condition("Drifted")["message"] == ("sysctl.kernel.shmmni 7 -> 100 (only reported)")


def test_a_parameter_that_this_kernel_has_not_is_refused_before_anything_starts_or_left_out(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "specs" / "web.yaml"
    file.parent.mkdir()
    text = "command: [/bin/sleep, '1000']\nsysctl: {net.core.nothing: 1, net.ipv4.ip_forward: 1}\n"
    file.write_text(text)
    (outcome,) = Reconciler(engine, [str(file.parent)]).run_pass().outcomes
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.NotSupported
    assert "cannot enforce sysctl.net.core.nothing: this kernel has no such" in str(outcome.error)
    assert engine.ids() == []
    file.write_text(f"{text}enforcement: {{sysctl.net.core.nothing: preferred}}\n")
    case = Case(engine, file)
    assert len(case.mend()) == 1
    assert "without sysctl.net.core.nothing: " in case.condition("Enforced")["message"]
    assert enter(case, "sysctl", "-n", "net.ipv4.ip_forward") == "1"
    assert case.drift() == []


def test_a_value_that_the_kernel_refuses_is_told_with_its_parameter(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "specs" / "web.yaml"
    file.parent.mkdir()
    file.write_text("command: [/bin/sleep, '1000']\nsysctl: {net.ipv4.ip_forward: many}\n")
    (outcome,) = Reconciler(engine, [str(file.parent)]).run_pass().outcomes
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.ConfigInvalid
    assert "cannot set net.ipv4.ip_forward=many: the kernel refuses a value" in str(outcome.error)
