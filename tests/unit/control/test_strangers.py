"""Which processes are a container's own, on real processes in real pid namespaces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from reconciler.control.strangers import find_strangers
from reconciler.linux.uts import read_hostnames

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("unshare")]

SCRIPT = "hostname inside; sleep 1000 & unshare --pid --fork sleep 1000 & echo up; wait"


@pytest.fixture
def inside() -> Iterator[list[int]]:
    """Give the pids of an init in a pid namespace of its own, and of all that it has started."""
    words = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "/bin/sh", "-c", SCRIPT]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (init,) = children(process.pid)
        yield [init, *descendants(init)]
        process.kill()


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [deeper for child in found for deeper in descendants(child)]


def test_all_that_an_init_has_started_is_its_own_in_nested_namespaces_too(
    inside: list[int],
) -> None:
    assert find_strangers(inside[0], inside) == ()


def test_a_process_of_another_namespace_is_a_stranger_and_is_named(inside: list[int]) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        found = find_strangers(inside[0], [*inside, process.pid])
        process.kill()
    assert found == (f"{process.pid} sleep",)


def test_an_init_in_our_own_namespace_has_no_strangers() -> None:
    assert find_strangers(os.getppid(), [os.getppid(), os.getpid()]) == ()


def test_what_has_ended_is_nobodys(inside: list[int]) -> None:
    assert find_strangers(inside[0], [*inside, 2**22 + 1]) == ()
    assert find_strangers(2**22 + 1, inside) == ()


def test_host_names_are_read_of_other_namespaces_alone_and_ours_stays(inside: list[int]) -> None:
    ours = os.uname().nodename
    pids = [os.getpid(), inside[0], 2**22 + 1]
    assert read_hostnames(pids) == {inside[0]: "inside"}
    assert os.uname().nodename == ours
