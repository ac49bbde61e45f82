"""System calls made ready: numbers, arguments, descriptors, jumps and errors, by the kernel."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import pytest

from reconciler.linux.calls import AT_FDCWD, NUMBERS, OWN_SLOTS, SYS, Calls, Chain, Fd, encode
from reconciler.linux.syscall_numbers import syscall_numbers


def open_directory(calls: Calls, path: Path) -> Fd:
    fd = calls.fd()
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    calls.add(SYS.openat, AT_FDCWD, encode(str(path)), flags, 0, keep=fd, path=str(path))
    return fd


def make(calls: Calls, given: object = None) -> list[int]:
    fds = [-1] * 8
    Chain([calls.finish()]).make(fds, given)
    return fds


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_the_numbers_are_those_of_the_complete_table(machine: str) -> None:
    known = syscall_numbers(machine)
    own = NUMBERS[machine]._asdict()
    assert own == {name: known[name] for name in own}


def test_a_descriptor_is_used_by_later_calls_and_closed(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    calls = Calls()
    fd = open_directory(calls, tmp_path)
    calls.add(SYS.mkdirat, fd, b"made", 0o755)
    calls.add(SYS.symlinkat, b"elsewhere", fd, b"link")
    calls.close(fd)
    assert make(calls)[fd.slot] == -1
    assert (tmp_path / "made").is_dir()
    assert os.readlink(tmp_path / "link") == "elsewhere"
    assert os.listdir("/proc/self/fd") == before


def test_any_number_of_descriptors_can_be_used_one_after_the_other(tmp_path: Path) -> None:
    calls = Calls()
    with calls.block():
        lasting = open_directory(calls, tmp_path)
        for number in range(3 * OWN_SLOTS):
            fd = open_directory(calls, tmp_path)
            assert fd != lasting
            calls.add(SYS.mkdirat, fd, encode(f"made {number}"), 0o755)
            calls.close(fd)
        calls.add(SYS.mkdirat, lasting, b"last", 0o755)
        calls.close(lasting)
    make(calls)
    assert len(list(tmp_path.iterdir())) == 3 * OWN_SLOTS + 1


def test_too_many_descriptors_at_a_time_are_refused() -> None:
    calls = Calls()
    for _ in range(OWN_SLOTS):
        calls.fd()
    with pytest.raises(AssertionError, match="too many"):
        calls.fd()


def test_what_is_not_closed_can_be_had_from_where_it_is_kept(tmp_path: Path) -> None:
    calls = Calls()
    fd = open_directory(calls, tmp_path)
    opened = make(calls)[fd.slot]
    assert os.path.samestat(os.fstat(opened), tmp_path.stat())
    os.close(opened)


def test_an_error_has_the_path_and_ends_the_calls(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    calls = Calls()
    open_directory(calls, missing)
    calls.add(SYS.mkdirat, AT_FDCWD, encode(str(tmp_path / "never")), 0o755)
    with pytest.raises(FileNotFoundError) as caught:
        make(calls)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(missing))
    assert list(tmp_path.iterdir()) == []


def test_only_the_errno_of_a_jump_jumps(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    calls = Calls()
    with calls.block() as is_there:
        jumps = {errno.EEXIST: is_there}
        calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/there"), 0o755, jumps=jumps)
        calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/passed over"), 0o755)
    calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/after"), 0o755)
    make(calls)
    assert sorted(os.listdir(tmp_path)) == ["after", "there"]

    calls = Calls()
    with calls.block() as is_there:
        jumps = {errno.EEXIST: is_there}
        calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/not/there"), 0o755, jumps=jumps)
    with pytest.raises(FileNotFoundError):
        make(calls)


def test_a_jump_can_depend_on_a_descriptor(tmp_path: Path) -> None:
    calls = Calls()
    fd = calls.fd()
    for name in ("first", "second"):
        with calls.block() as is_open:
            calls.jump(is_open, if_open=fd)
            calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/{name}"), 0o755)
            flags = os.O_PATH | os.O_CLOEXEC
            calls.add(SYS.openat, AT_FDCWD, encode(str(tmp_path)), flags, 0, keep=fd)
    calls.close(fd)
    make(calls)
    assert os.listdir(tmp_path) == ["first"]


def test_functions_get_what_is_given_and_may_jump(tmp_path: Path) -> None:
    seen: list[object] = []

    def ask(answer: bool, given: object) -> bool:
        seen.append(given)
        return answer

    calls = Calls()
    for answer in (False, True):
        with calls.block() as end:
            calls.python(partial(ask, answer), end)
            calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/after {answer}"), 0o755)
    make(calls, "this")
    assert seen == ["this", "this"]
    assert os.listdir(tmp_path) == ["after False"]


def test_a_chain_knows_the_part_at_fault_and_can_be_made_again(tmp_path: Path) -> None:
    parts = []
    for name in ("a", "b", "c"):
        calls = Calls()
        calls.add(SYS.mkdirat, AT_FDCWD, encode(f"{tmp_path}/{name}"), 0o755, path=name)
        parts.append(calls.finish())
    (tmp_path / "b").mkdir()
    chain = Chain(parts)
    with pytest.raises(FileExistsError) as caught:
        chain.make([])
    assert (chain.part_at_fault(), caught.value.filename) == (1, "b")
    (tmp_path / "a").rmdir()
    (tmp_path / "b").rmdir()
    chain.make([])
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_numbers_above_32_bits_and_below_0_arrive_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    calls = Calls()
    fd = calls.fd()
    calls.add(SYS.openat, AT_FDCWD, encode(str(file)), os.O_RDWR | os.O_CLOEXEC, 0, keep=fd)
    calls.add(syscall_numbers(os.uname().machine)["ftruncate"], fd, 2**33)
    calls.close(fd)
    make(calls)
    assert file.stat().st_size == 2**33


def test_a_path_with_a_nul_is_refused_and_not_cut_off() -> None:
    with pytest.raises(OSError, match="NUL") as caught:
        encode("/etc\0/x")
    assert caught.value.errno == errno.EINVAL
