"""The assembler: each program decides as the table it was made from, in our BPF machine and
in the kernel."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.linux.seccomp import (
    AUDIT_ARCH_AARCH64,
    AUDIT_ARCH_X86_64,
    RET_ENOSYS,
    RET_EPERM,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS,
    ArgCheck,
    Condition,
    Rules,
    Verdict,
    compile_filter,
)
from tests.unit.linux import bpf

ARCH = AUDIT_ARCH_X86_64
HOST_ARCH = {"x86_64": AUDIT_ARCH_X86_64, "aarch64": AUDIT_ARCH_AARCH64}.get(os.uname().machine, 0)
ROOT = Path(__file__).parents[3]

plain_verdicts = st.sampled_from(
    [SECCOMP_RET_ALLOW, RET_EPERM, RET_ENOSYS, SECCOMP_RET_ERRNO | errno.EINVAL]
)
short_words = st.sampled_from([0, 1, 2, 38, 40, 0x20000, 0x7E020000, 0xFFFFFFFF])
words = st.sampled_from(
    [0, 1, 2, 38, 40, 0x20000, 0x7E020000, 0xFFFFFFFF, 2**32, 2**32 + 1, 2**40, 2**64 - 1]
)
checks = st.builds(
    ArgCheck,
    argument=st.integers(0, 5),
    values=st.lists(short_words, min_size=1, max_size=5).map(tuple),
    matched=plain_verdicts,
    otherwise=plain_verdicts,
    mask=st.sampled_from([0xFFFFFFFF, 0x7E020000, 1]),
)
conditions = st.builds(
    Condition,
    argument=st.integers(0, 5),
    op=st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"]),
    value=words,
    second=words,
)
rules = st.builds(
    Rules,
    rules=st.lists(
        st.tuples(st.lists(conditions, min_size=1, max_size=3).map(tuple), plain_verdicts),
        min_size=1,
        max_size=3,
    ).map(tuple),
    otherwise=plain_verdicts,
)
verdicts = plain_verdicts | checks | rules
tables = st.dictionaries(st.integers(0, 1023), verdicts, max_size=600)


COMPARISONS = {
    "EQ": int.__eq__,
    "NE": int.__ne__,
    "LT": int.__lt__,
    "LE": int.__le__,
    "GT": int.__gt__,
    "GE": int.__ge__,
}


def holds(one: Condition, args: tuple[int, ...]) -> bool:
    argument = args[one.argument]
    if one.op == "MASKED_EQ":
        return argument & one.value == one.second
    return COMPARISONS[one.op](argument, one.value)


def expected(verdict: Verdict, args: tuple[int, ...]) -> int:
    if isinstance(verdict, int):
        return verdict
    if isinstance(verdict, Rules):
        for conditions, action in verdict.rules:
            if all(holds(one, args) for one in conditions):
                return action
        return verdict.otherwise
    matches = args[verdict.argument] & 0xFFFFFFFF & verdict.mask in verdict.values
    return verdict.matched if matches else verdict.otherwise


@given(table=tables, default=plain_verdicts, args=st.tuples(*[words] * 6))
def test_a_program_decides_as_its_table_for_every_number(
    table: dict[int, Verdict], default: int, args: tuple[int, ...]
) -> None:
    program = compile_filter(ARCH, table, default)
    for number in range(1026):
        assert bpf.run(program, ARCH, number, args) == expected(table.get(number, default), args)


def test_a_table_without_two_equal_neighbours_is_decided_right_across_long_jumps() -> None:
    table: dict[int, Verdict] = {
        number: SECCOMP_RET_ERRNO | (number % 97 + 1) for number in range(1024)
    }
    program = compile_filter(ARCH, table, RET_ENOSYS)
    assert len(program) // 8 > 2 * 255
    decided = {number: bpf.run(program, ARCH, number) for number in range(1025)}
    assert decided == {**table, 1024: RET_ENOSYS}


def test_an_empty_table_gives_the_default() -> None:
    program = compile_filter(ARCH, {}, RET_EPERM)
    assert {bpf.run(program, ARCH, number) for number in (0, 1, 600)} == {RET_EPERM}


@pytest.mark.parametrize(
    ("own", "foreign"), [(AUDIT_ARCH_X86_64, 0x40000003), (AUDIT_ARCH_AARCH64, 0x40000028)]
)
def test_a_call_of_another_architecture_kills_the_process(own: int, foreign: int) -> None:
    program = compile_filter(own, dict.fromkeys(range(1024), SECCOMP_RET_ALLOW), RET_ENOSYS)
    assert bpf.run(program, own, 1) == SECCOMP_RET_ALLOW
    assert {bpf.run(program, foreign, number) for number in range(1024)} == {
        SECCOMP_RET_KILL_PROCESS
    }


@pytest.mark.parametrize("default", [RET_EPERM, SECCOMP_RET_ALLOW])
def test_calls_with_the_x32_bit_do_not_exist_whatever_the_default(default: int) -> None:
    program = compile_filter(ARCH, dict.fromkeys(range(1024), SECCOMP_RET_ALLOW), default)
    for number in (0x40000000, 0x40000001, 0x40000000 + 520, 0xFFFFFFFF):
        assert bpf.run(program, ARCH, number) == RET_ENOSYS


def test_what_is_above_the_lower_half_of_an_argument_does_not_lead_past_a_check() -> None:
    table: dict[int, Verdict] = {41: ArgCheck(0, (38,), RET_EPERM, SECCOMP_RET_ALLOW)}
    program = compile_filter(ARCH, table, RET_ENOSYS)
    assert bpf.run(program, ARCH, 41, (38 | 1 << 32,)) == RET_EPERM
    assert bpf.run(program, ARCH, 41, (2 | 38 << 32,)) == SECCOMP_RET_ALLOW


def test_neighbours_with_the_same_verdict_cost_one_comparison() -> None:
    table: dict[int, Verdict] = dict.fromkeys(range(300), SECCOMP_RET_ALLOW)
    # ld arch, jeq, ret kill, ld nr, 2 x jge, ret allow, ret enosys, ret eperm
    assert len(compile_filter(ARCH, table, RET_EPERM)) // 8 <= 9


# --- the kernel's own opinion --------------------------------------------------------------------

PRELUDE = """
import ctypes, os, sys
from reconciler.linux import process, seccomp
from reconciler.linux.seccomp import *
from reconciler.linux.syscall_numbers import syscall_numbers
nr = syscall_numbers(os.uname().machine)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *args):
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))
    return os.strerror(ctypes.get_errno()) if result < 0 else "ok"
def load(table, default=SECCOMP_RET_ALLOW):
    process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
    install_filter(compile_filter(int(sys.argv[1]), table, default))
"""


def run_child(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    if not HOST_ARCH:
        pytest.skip(f"no system call numbers for {os.uname().machine}")
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script, str(HOST_ARCH), *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def output_of(script: str, *args: str) -> list[str]:
    child = run_child(script, *args)
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout.splitlines()


def test_the_kernel_takes_a_program_and_refuses_what_it_says() -> None:
    assert output_of("""
print(call(nr["getppid"]), call(nr["getpgid"], 0), call(nr["getsid"], 0))
load({nr["getppid"]: RET_EPERM, nr["getpgid"]: SECCOMP_RET_ERRNO | 22})
for name in ("getppid", "getpgid", "getsid"):
    print(call(nr[name], 0))
""") == ["ok ok ok", "Operation not permitted", "Invalid argument", "ok"]


def test_the_kernel_checks_arguments_as_the_program_says() -> None:
    assert output_of("""
check = ArgCheck(1, (0, 2), SECCOMP_RET_ALLOW, RET_EPERM, mask=6)
load({nr["fcntl"]: check})
for command in (1, 2 | 1, 4 | 1, 1 | 1 << 40):
    print(call(nr["fcntl"], 1, command))
""") == ["ok", "ok", "Operation not permitted", "ok"]


def test_the_kernel_takes_a_program_with_long_jumps() -> None:
    assert output_of("""
table = {number: SECCOMP_RET_ERRNO | (number % 97 + 1) for number in range(1000, 2000)}
load(table)
print(call(1000), call(1999), call(nr["getpid"]), sep="\\n")
""") == [os.strerror(1000 % 97 + 1), os.strerror(1999 % 97 + 1), "ok"]


def test_a_filter_outlives_execve(tmp_path: Path) -> None:
    script = """
load({nr["mkdirat"]: RET_EPERM, nr.get("mkdir", nr["mkdirat"]): RET_EPERM})
os.execv("/bin/mkdir", ["mkdir", sys.argv[2] + "/refused"])
"""
    child = run_child(script, str(tmp_path))
    assert (child.returncode, child.stderr[-24:]) == (1, "Operation not permitted\n")
    assert list(tmp_path.iterdir()) == []


def test_loading_without_no_new_privs_or_privilege_is_refused() -> None:
    assert output_of("""
from reconciler.linux.calls import Calls, Chain
from reconciler.linux.capabilities import set_capabilities
calls = Calls()
set_capabilities(calls, 0, 0, 0)
Chain([calls.finish()]).make([])
try:
    install_filter(compile_filter(int(sys.argv[1]), {}, SECCOMP_RET_ALLOW))
except OSError as error:
    print(error.strerror)
""") == ["Permission denied"]


def test_a_program_that_the_kernel_cannot_accept_is_an_error_and_not_ignored() -> None:
    assert output_of("""
process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
try:
    install_filter(bytes(8))
except OSError as error:
    print(error.strerror)
""") == ["Invalid argument"]


def test_a_32_bit_call_from_a_64_bit_process_kills_it() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("int 0x80 is x86's")
    script = """
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000" "cd80" "c3"))  # mov eax, 20 (getpid); int 0x80; ret
getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
if FILTERED:
    load({})
print(getpid() == os.getpid(), flush=True)
os._exit(0)
"""
    free = run_child("FILTERED = False" + script)
    if free.stdout != "True\n":
        pytest.skip("this kernel has no 32-bit system calls")
    filtered = run_child("FILTERED = True" + script)
    assert (filtered.stdout, filtered.returncode) == ("", -31)  # SIGSYS
