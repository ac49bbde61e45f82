"""Steps made ready before the clone: descriptors are found, faults named, equal steps kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.lean import NamedTuple
from reconciler.linux.calls import AT_FDCWD, SYS, encode
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.launcher import CloseOthers
from reconciler.monitor.steps.prepared import (
    Prepared,
    execute_here,
    prepare_steps,
    step_at_fault,
)


class Open(NamedTuple):
    """Open a directory as the tree `key`."""

    key: str
    path: str

    def describe(self) -> str:
        return f"open {self.path}"

    def prepare(self, context: Context) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        keep = context.tree(self.key)
        context.calls.add(SYS.openat, AT_FDCWD, encode(self.path), flags, 0, keep=keep)


class Make(NamedTuple):
    """Make a directory in the tree `key`."""

    key: str
    name: str

    def describe(self) -> str:
        return f"make {self.name}"

    def prepare(self, context: Context) -> None:
        context.calls.add(SYS.mkdirat, context.tree(self.key), encode(self.name), 0o755)


class Close(NamedTuple):
    """Close the tree `key`, in Python."""

    key: str

    def describe(self) -> str:
        return f"close {self.key}"

    def execute(self, context: Context) -> None:
        os.close(context.trees.pop(self.key))


def run(steps: list[object], context: Context) -> list[object]:
    program = prepare_steps(steps, context)  # type: ignore[arg-type]
    for part in program:
        part.execute(context)
    return list(program)


def test_prepared_steps_and_python_ones_see_each_others_descriptors(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    before = os.listdir("/proc/self/fd")
    context = Context(-1, ())
    steps: list[object] = [
        *(Open("a", f"{tmp_path}/first"), Open("b", f"{tmp_path}/second"), Make("b", "x")),
        *(Close("b"), Make("a", "y"), Close("a")),
    ]
    program = run(steps, context)
    assert [type(part) for part in program] == [Prepared, Close, Prepared, Close]
    assert (tmp_path / "second/x").is_dir()
    assert (tmp_path / "first/y").is_dir()
    assert context.trees == {}
    assert os.listdir("/proc/self/fd") == before


def test_equal_steps_after_other_ones_do_not_take_their_descriptors(tmp_path: Path) -> None:
    """What is kept of a step says where its descriptors were: not so if others came before."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    for order in (("one", "two"), ("two", "one"), ("one", "two")):
        context = Context(-1, ())
        opened: list[object] = [Open(name, f"{tmp_path}/{name}") for name in order]
        run([*opened, Make("one", "in one"), Close("one"), Close("two")], context)
        (tmp_path / "one/in one").rmdir()
    assert list((tmp_path / "two").iterdir()) == []


def test_the_step_whose_call_fails_is_the_one_at_fault(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    context = Context(-1, ())
    steps: list[object] = [Open("a", str(tmp_path)), Make("a", "new"), Make("a", "there")]
    (part,) = prepare_steps(steps, context)  # type: ignore[arg-type]
    with pytest.raises(FileExistsError):
        part.execute(context)
    assert step_at_fault(part) == steps[2]
    for fd in context.fds:
        if fd >= 0:
            os.close(fd)


def test_what_fails_here_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    before = os.listdir("/proc/self/fd")
    context = Context(-1, ())
    execute_here([Open("a", str(tmp_path))], context)
    with pytest.raises(FileExistsError):
        execute_here([Make("a", "there")], context)
    assert os.listdir("/proc/self/fd") == before


class Counted(NamedTuple):
    """Count how often it is prepared."""

    path: str

    def describe(self) -> str:
        return "count"

    def prepare(self, context: Context) -> None:
        prepared.append(self.path)


prepared: list[str] = []


def test_the_numbers_of_descriptors_do_not_keep_an_equal_step_from_being_used_again(
    tmp_path: Path,
) -> None:
    """They are others with each container that runs; what names them is made ready each time."""
    for number in (5, 6, 7):
        context = Context(number, (number + 10,))
        context.trees["a"] = number + 20
        prepare_steps([Counted(str(tmp_path))], context)
    assert prepared == [str(tmp_path)]


def test_what_names_descriptors_is_made_ready_for_those_of_each_launch() -> None:
    held: list[int] = []
    for _ in range(2):
        held.append(os.open("/", os.O_PATH))  # so that the next has other numbers
        read_fd, write_fd = os.pipe()
        context = Context(write_fd, ())
        (part,) = prepare_steps([CloseOthers(3, [])], context)
        pid = os.fork()
        if pid == 0:
            part.execute(context)
            os.write(write_fd, " ".join(os.listdir("/proc/self/fd")).encode())
            os._exit(0)
        os.close(write_fd)
        left = set(map(int, os.read(read_fd, 4096).split()))
        os.waitpid(pid, 0)
        os.close(read_fd)
        assert write_fd in left
        assert not left & {*held}
        assert len(left) == 5  # the standard streams, and the directory that is read
    for fd in held:
        os.close(fd)
