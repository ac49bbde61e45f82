"""A container's cgroups with real processes in them, for the contract of the cgroup drivers."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reconciler.cgroup import files
from reconciler.cgroup.choose import choose_driver
from reconciler.cgroup.detect import Mode, detect
from reconciler.cgroup.driver import CgroupDriver
from reconciler.model.config import Resources

MIB = 2**20
WAIT_S = 60  # an emulated guest is some 15 times slower

# Joins the cgroups named in its arguments, then runs one quoted Python text per line of input.
CHILD = """
import os, sys
for path in sys.argv[1:]:
    with open(path, "w") as file:
        file.write("0")
print("joined", flush=True)
for line in sys.stdin:
    exec(eval(line))
    print("done", flush=True)
"""


@dataclass
class Child:
    """A process in the cgroup that does what it is told, a line at a time."""

    process: subprocess.Popen[str]

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text!r}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, text: str) -> str:
        """Run a text to its end and return the last line that it printed."""
        self.send(text)
        printed = ""
        while (line := self.answer()) != "done":
            assert self.process.poll() is None
            printed = line
        return printed

    def answers_within(self, timeout_s: float) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], timeout_s)[0])


@dataclass
class Cell:
    """One container's cgroups, and the processes that a test put into them."""

    driver: CgroupDriver
    paths: dict[str, str]
    children: list[Child] = field(default_factory=list)

    def spawn(self) -> Child:
        joins = self.driver.join_files(self.paths, with_unified=True)
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *joins],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        child = Child(process)
        self.children.append(child)
        assert child.answer() == "joined"
        return child

    def apply(self, resources: Resources, previous: Resources | None = None) -> None:
        assert self.driver.unsupported(resources) == []
        self.driver.apply(self.paths, resources, previous)
        assert self.driver.read_limits(self.paths) == self.driver.canonical_limits(resources)

    def file(self, v1: tuple[str, str], v2: str) -> str:
        """Return the path of a file that has one place in v1 and another in v2."""
        key, name = v1
        if key in self.paths:
            return f"{self.paths[key]}/{name}"
        return f"{self.paths['unified']}/{v2}"

    def close(self) -> None:
        self.driver.kill(self.paths)
        for child in self.children:
            child.process.kill()
            child.process.communicate()
        self.driver.remove(self.paths)


def eventually(condition: Callable[[], bool]) -> bool:
    """Tell whether the condition comes true; asks again as the kernel goes on."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.002)
    return True


def driver_of(mode: Mode, parent: str | None = None) -> CgroupDriver:
    """Return the driver of a kind, when this host can be that kind of host."""
    host = detect().mode
    if mode is Mode.V1 and host is not Mode.V2:
        mounts = files.read_text("/proc/self/mountinfo").splitlines(keepends=True)
        v1_alone = "".join(line for line in mounts if "cgroup2" not in line)
        return choose_driver(parent, mountinfo=v1_alone)
    if mode is not host:
        pytest.skip(f"the cgroups of this host are {host}, not {mode}")
    return choose_driver(parent)
