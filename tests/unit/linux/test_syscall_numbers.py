"""The tables of numbers, held against the kernel's headers where they are installed."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from reconciler.linux.syscall_numbers import syscall_numbers

MACHINES = ("x86_64", "aarch64")
ARM64_WANTS = (
    *("RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET"),
)


def header_numbers(header: str, *options: str) -> dict[str, int]:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: as root on Debian tests/run installs it")
    preprocessed = subprocess.run(
        ["gcc", "-E", "-dM", *options, "-"],
        input=f"#include <{header}>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if preprocessed.returncode != 0:
        pytest.skip(f"needs {header}: the Debian package linux-libc-dev")
    values: dict[str, str] = dict(
        re.findall(r"^#define (\w+) (\w+)$", preprocessed.stdout, re.MULTILINE)
    )
    numbers = {}
    for name, value in values.items():
        number = values.get(value, value)  # __NR_lseek is __NR3264_lseek, and that is 62
        if name.startswith("__NR_") and number.isdigit():
            numbers[name.removeprefix("__NR_")] = int(number)
    # The first two are counts, the last is another architecture's name for number 84.
    for no_call in ("syscalls", "arch_specific_syscall", "sync_file_range2"):
        numbers.pop(no_call, None)
    return numbers


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_has_two_names(machine: str) -> None:
    numbers = syscall_numbers(machine)
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_from_424_on_are_the_same_everywhere_and_without_a_gap(machine: str) -> None:
    new = sorted(number for number in syscall_numbers(machine).values() if number >= 424)
    assert new == list(range(424, 472))
    assert syscall_numbers(machine)["rseq_slice_yield"] == 471


def test_x86_64_has_all_that_its_header_has() -> None:
    if subprocess.check_output(["uname", "-m"], text=True).strip() != "x86_64":
        pytest.skip("asm/unistd_64.h is x86's")
    defined = header_numbers("asm/unistd_64.h")
    assert len(defined) > 300
    assert defined.items() - syscall_numbers("x86_64").items() == set()


def test_aarch64_has_all_that_the_generic_header_has() -> None:
    wants = [f"-D__ARCH_WANT_{name}" for name in ARM64_WANTS]
    defined = header_numbers("asm-generic/unistd.h", *wants)
    assert len(defined) > 280
    assert defined.items() - syscall_numbers("aarch64").items() == set()


def test_an_unknown_machine_has_no_table() -> None:
    with pytest.raises(KeyError):
        syscall_numbers("pdp11")
