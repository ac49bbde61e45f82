"""The default profile: what it allows, for each machine and capability, in our BPF machine and
in the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.engine import seccomp_profile
from reconciler.engine.seccomp_profile import default_filter
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.capabilities import NAMES
from reconciler.linux.seccomp import (
    AUDIT_ARCH_AARCH64,
    AUDIT_ARCH_X86_64,
    RET_ENOSYS,
    RET_EPERM,
    SECCOMP_RET_ALLOW,
)
from reconciler.linux.syscall_numbers import syscall_numbers
from tests.unit.linux import bpf

ARCH = {"x86_64": AUDIT_ARCH_X86_64, "aarch64": AUDIT_ARCH_AARCH64}
MACHINES = sorted(ARCH)
ROOT = Path(__file__).parents[3]
CONDITIONAL = {"clone", "clone3", "personality", "socket"}

# What a container without capabilities may not do, with the capability that would allow it.
REFUSED_WITHOUT = {
    "BPF": {"bpf"},
    "DAC_READ_SEARCH": {"open_by_handle_at"},
    "PERFMON": {"perf_event_open"},
    "SYS_ADMIN": {
        *("bpf", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listns"),
        *("lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount"),
        *("mount_setattr", "move_mount", "open_tree", "open_tree_attr", "perf_event_open"),
        *("pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns"),
        *("syslog", "umount2", "unshare"),
    },
    "SYS_BOOT": {"reboot"},
    "SYS_CHROOT": {"chroot"},
    "SYS_MODULE": {"delete_module", "finit_module", "init_module"},
    "SYS_NICE": {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"},
    "SYS_PACCT": {"acct"},
    "SYS_PTRACE": {"kcmp", "pidfd_getfd", "process_madvise"},
    "SYS_RAWIO": {"ioperm", "iopl"},
    "SYS_TIME": {"clock_settime", "settimeofday"},
    "SYS_TTY_CONFIG": {"vhangup"},
    "SYSLOG": {"syslog"},
}
# Refused whatever the capabilities: the dangerous, and those that the kernel has lost.
REFUSED_ALWAYS = {
    *("add_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "kexec_file_load"),
    *("kexec_load", "keyctl", "lookup_dcookie", "migrate_pages", "move_pages", "nfsservctl"),
    *("request_key", "swapoff", "swapon", "userfaultfd", "_sysctl", "afs_syscall"),
    *("create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg"),
    *("putpmsg", "query_module", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver"),
}


def decide(capabilities: set[str], machine: str, name: str, args: tuple[int, ...] = ()) -> int:
    program = default_filter(frozenset(capabilities), machine)
    return bpf.run(program, ARCH[machine], syscall_numbers(machine)[name], args)


def names_with(verdict: int, machine: str, capabilities: set[str]) -> set[str]:
    program = default_filter(frozenset(capabilities), machine)
    numbers = syscall_numbers(machine).items()
    return {name for name, number in numbers if bpf.run(program, ARCH[machine], number) == verdict}


@pytest.mark.parametrize("machine", MACHINES)
def test_without_capabilities_exactly_the_listed_calls_are_refused(machine: str) -> None:
    refused = set().union(REFUSED_ALWAYS, *REFUSED_WITHOUT.values()) - {"clone3"}
    known = set(syscall_numbers(machine))
    assert names_with(RET_EPERM, machine, set()) == refused & known
    assert names_with(RET_ENOSYS, machine, set()) == {"clone3"}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("capability", NAMES)
def test_a_capability_allows_the_calls_that_want_it_and_no_others(
    machine: str, capability: str
) -> None:
    gained = names_with(SECCOMP_RET_ALLOW, machine, {capability}) - names_with(
        SECCOMP_RET_ALLOW, machine, set()
    )
    assert gained == REFUSED_WITHOUT.get(capability, set()) & set(syscall_numbers(machine))


@pytest.mark.parametrize("machine", MACHINES)
def test_all_capabilities_together_leave_what_is_never_allowed(machine: str) -> None:
    known = set(syscall_numbers(machine))
    assert names_with(RET_EPERM, machine, set(NAMES)) == REFUSED_ALWAYS & known


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("capabilities", [set(), {"SYS_ADMIN"}, set(NAMES)])
def test_numbers_that_we_do_not_know_do_not_exist(machine: str, capabilities: set[str]) -> None:
    program = default_filter(frozenset(capabilities), machine)
    unknown = set(range(1024)) - set(syscall_numbers(machine).values())
    assert {bpf.run(program, ARCH[machine], number) for number in unknown} == {RET_ENOSYS}


def test_every_name_in_the_profile_is_a_system_call_of_some_machine() -> None:
    known = set().union(*map(syscall_numbers, MACHINES))
    listed = set(seccomp_profile._ALLOWED.split())
    listed |= set(" ".join(seccomp_profile._ALLOWED_WITH.values()).split())
    assert listed - known == set()
    assert set(seccomp_profile._ALLOWED_WITH) - set(NAMES) == set()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_clone_makes_namespaces_with_sys_admin_alone(machine: str, flag: int) -> None:
    for flags in (flag, flag | 0x11, flag | 1 << 32, 0x7E020000):
        assert decide(set(), machine, "clone", (flags,)) == RET_EPERM
        assert decide({"SYS_ADMIN"}, machine, "clone", (flags,)) == SECCOMP_RET_ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_and_processes(machine: str) -> None:
    for flags in (0x11, 0x3D0F00, 0x1200011, 0x4111):  # fork, pthread_create, glibc, vfork
        assert decide(set(), machine, "clone", (flags,)) == SECCOMP_RET_ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_personality_may_ask_and_choose_what_is_harmless(machine: str) -> None:
    for persona in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        assert decide(set(), machine, "personality", (persona,)) == SECCOMP_RET_ALLOW
    for persona in (0x40000, 0x400000, 0x20009, 0xFFFFFFFE):  # no address randomisation, ...
        assert decide(set(), machine, "personality", (persona,)) == RET_EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_of_all_families_but_alg_and_vsock_are_allowed(machine: str) -> None:
    refused = {
        family
        for family in range(64)
        if decide(set(NAMES), machine, "socket", (family, 1)) != SECCOMP_RET_ALLOW
    }
    assert refused == {38, 40}
    assert decide(set(), machine, "socket", (40 | 1 << 32, 1)) == RET_EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("capabilities", [set(), {"SYS_ADMIN"}, set(NAMES)])
def test_a_filter_is_short_and_decides_quickly(machine: str, capabilities: set[str]) -> None:
    program = default_filter(frozenset(capabilities), machine)
    numbers = syscall_numbers(machine).values()
    steps = max(bpf.trace(program, ARCH[machine], number)[1] for number in numbers)
    assert len(program) // 8 <= 128
    assert steps <= 20


def test_a_filter_is_compiled_once() -> None:
    first = default_filter(frozenset({"KILL"}), "x86_64")
    assert default_filter(frozenset({"KILL"}), "x86_64") is first


def test_a_machine_without_a_table_is_an_error() -> None:
    with pytest.raises(ReconcilerError, match="no profile for pdp11") as caught:
        default_filter(frozenset(), "pdp11")
    assert caught.value.code is ErrorCode.NotSupported


# --- the kernel's own opinion --------------------------------------------------------------------

PRELUDE = """
import ctypes, os, subprocess, sys
from reconciler.engine.seccomp_profile import default_filter
from reconciler.linux import process, seccomp
from reconciler.linux.syscall_numbers import syscall_numbers
nr = syscall_numbers(os.uname().machine)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(name, *args):
    number = nr[name] if isinstance(name, str) else name
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))
    print("ok" if result >= 0 else os.strerror(ctypes.get_errno()), flush=True)
program = default_filter(frozenset(sys.argv[1:]), os.uname().machine)
process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install_filter(program)
"""
EPERM, ENOSYS, EINVAL, EFAULT = (
    *("Operation not permitted", "Function not implemented", "Invalid argument", "Bad address"),
)


def output_of(script: str, *capabilities: str) -> list[str]:
    if os.uname().machine not in ARCH:
        pytest.skip(f"no profile for {os.uname().machine}")
    child = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *capabilities],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout.splitlines()


def test_the_kernel_refuses_what_reaches_beyond_the_container() -> None:
    script = """
call("unshare", 0)
call("keyctl", 0, -3, 0)
call("io_uring_setup", 1, 0)
call("userfaultfd", 0xffff)
call("mount", 0, 0, 0, 0, 0)
call("clone", 0x10000000 | 17, 0, 0, 0, 0)
call("personality", 0x40000)
call("socket", 38, 5, 0)
call("socket", 40 | 1 << 32, 1, 0)
"""
    assert output_of(script) == [EPERM] * 9


def test_the_kernel_says_that_newer_calls_do_not_exist() -> None:
    assert output_of("call('clone3', 0, 0); call(600); call(0x40000000 | 39)") == [ENOSYS] * 3


def test_the_kernel_allows_with_sys_admin_what_is_refused_without() -> None:
    script = 'call("unshare", 0); call("clone3", 0, 0); call("mount", 0, 0, 0, 0, 0)'
    assert output_of(script, "SYS_ADMIN") == ["ok", EINVAL, EFAULT]


def test_ordinary_programs_run_under_the_filter() -> None:
    script = """
import asyncio, multiprocessing.dummy, socket, sqlite3, tempfile, threading
async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    return (await child.communicate(b"piped"))[0].decode()
print(asyncio.run(main()))
pipeline = ["sh", "-c", "ls / | grep -c . >/dev/null && uname"]
print(subprocess.check_output(pipeline, text=True).strip())
print(multiprocessing.dummy.Pool(4).map(abs, [-1, -2]))
one, other = socket.socketpair()
one.sendall(b"x"); print(other.recv(1))
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close(); print("connected")
with tempfile.TemporaryDirectory() as place:
    connection = sqlite3.connect(place + "/db")
    connection.execute("create table t (x)"); connection.commit(); connection.close()
    os.chmod(place, 0o700); os.utime(place); os.rename(place + "/db", place + "/other")
    print(os.listdir(place))
"""
    assert output_of(script) == ["piped", "Linux", "[1, 2]", "b'x'", "connected", "['other']"]
