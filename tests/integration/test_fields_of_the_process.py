"""Fields of a spec about its process, as the kernel shows them: filter, clocks, scheduling."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.integration.spec_files import Reconciler

pytestmark = pytest.mark.requires_root

PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


def test_a_profile_by_file_filters_and_an_edit_of_it_starts_anew(reconciler: Reconciler) -> None:
    profile = reconciler.source / "profiles" / "web.json"
    profile.parent.mkdir()
    profile.write_text(json.dumps(PROFILE))
    seccomp = "security: {seccomp: {profile: profiles/web.json}}\n"
    pid = reconciler.applied(seccomp)
    assert "Seccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
    made = reconciler("exec", "web", "--", "mkdir", "/tmp/a")
    assert "Operation not supported" in made.stderr
    assert reconciler.inside("uname") == "Linux"
    profile.write_text(json.dumps(PROFILE | {"syscalls": []}))
    plan = reconciler("plan").stdout
    assert "security.seccomp.profile (sha256 " in plan
    assert "(restart)" in plan
    assert reconciler.applied(seccomp) != pid
    reconciler.inside("mkdir", "/tmp/a")


def test_its_clocks_are_as_far_from_the_hosts_as_given(reconciler: Reconciler) -> None:
    fields = "namespaces: {time: private}\ntimeOffsets: {boottime: 240h, monotonic: 100h}\n"
    pid = reconciler.applied(fields)
    assert os.readlink(f"/proc/{pid}/ns/time") != os.readlink("/proc/self/ns/time")
    here = float(Path("/proc/uptime").read_text().split()[0])
    there = float(reconciler.inside("cat", "/proc/uptime").split()[0])
    assert 240 * 3600 <= there - here < 241 * 3600
    told = reconciler("show", "web").stdout
    assert "boottime: 240h" in told


def test_a_clock_below_zero_is_refused_in_words(reconciler: Reconciler) -> None:
    fields = "namespaces: {time: private}\ntimeOffsets: {boottime: -900000h}\n"
    assert "would be below 0" in reconciler.refused(fields)


def test_the_command_and_what_exec_runs_have_the_cpus_that_are_given(
    reconciler: Reconciler,
) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    last, first = cpus[-1], cpus[0]
    pid = reconciler.applied(f"cpuAffinity: {{init: {last}, exec: '{first}'}}\n")
    assert os.sched_getaffinity(pid) == {last}
    assert reconciler.inside("grep", "Cpus_allowed_list", "/proc/self/status").endswith(
        f"\t{first}"
    )
    pid = reconciler.applied(f"cpuAffinity: {last}\n")
    assert os.sched_getaffinity(pid) == {last}


def test_a_cpu_that_the_host_has_not_is_refused_before_the_old_run_ends(
    reconciler: Reconciler,
) -> None:
    pid = reconciler.applied("cpuAffinity: 0\n")
    told = reconciler.refused("cpuAffinity: 0,4000\n")
    assert "this host has no CPU 4000; it has 0" in told
    assert reconciler.pid() == pid
    reconciler.applied("cpuAffinity: 0,4000\nenforcement: {cpuAffinity: preferred}\n")
    assert "cpuAffinity.init" in reconciler("status").stdout


def test_personality_and_memory_policy_are_as_given(reconciler: Reconciler) -> None:
    pid = reconciler.applied("personality: LINUX32\nmemoryPolicy: {mode: BIND, nodes: 0}\n")
    assert reconciler.inside("uname", "-m") in ("i686", "armv8l")
    maps = Path(f"/proc/{pid}/numa_maps")
    if maps.exists():
        assert "bind:0" in maps.read_text()


REALTIME = "resources: {cpu: {realtimeRuntime: 5ms}}\n"
V1_CPU = Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ("scheduler: {policy: FIFO, priority: 7}\n", os.SCHED_FIFO),
        ("scheduler: {policy: RR, priority: 7, flags: [RESET_ON_FORK]}\n", os.SCHED_RR),
    ],
)
def test_a_real_time_policy_is_in_force(reconciler: Reconciler, fields: str, policy: int) -> None:
    pid = reconciler.applied(fields + (REALTIME if V1_CPU.exists() else ""))
    assert os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK == policy
    assert os.sched_getparam(pid).sched_priority == 7


def test_a_deadline_is_in_force(reconciler: Reconciler) -> None:
    fields = "scheduler: {policy: DEADLINE, runtime: 1ms, deadline: 50ms}\n"
    assert os.sched_getscheduler(reconciler.applied(fields)) == 6


@pytest.mark.skipif(not V1_CPU.exists(), reason="real time is shared out by cgroup v1 alone")
def test_real_time_that_its_cgroup_has_not_is_refused_before_the_start(
    reconciler: Reconciler,
) -> None:
    told = reconciler.refused("scheduler: {policy: FIFO, priority: 7}\n")
    assert "resources: {cpu: {realtimeRuntime: 50ms}}" in told


def test_each_set_of_capabilities_is_as_given(reconciler: Reconciler) -> None:
    both = "[KILL, NET_RAW]"
    pid = reconciler.applied(
        f"security: {{capabilities: {{bounding: {both}, permitted: {both}, effective: [KILL],\n"
        "  inheritable: [KILL], ambient: [KILL]}}\n"
    )
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    shown = {line[3:6]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
    kill, raw = 1 << 5, 1 << 13
    assert (shown["Bnd"], shown["Inh"], shown["Amb"]) == (kill | raw, kill, kill)
    assert (shown["Prm"], shown["Eff"]) == (kill, kill)  # of an ordinary user, after execve(2)
