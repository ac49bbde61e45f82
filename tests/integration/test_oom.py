"""Want of memory on the real kernel: told apart from other kills, with the cgroup's figures."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.engine.container import Container
from reconciler.model.config import Config, MemoryLimits, Resources
from reconciler.model.state import ExitStatus
from tests.contract.cgroup_cell import eventually
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

MIB = 2**20
HOG = "/usr/bin/python3 -c 'x = bytearray(200 * 2**20)'"


def limited(script: str) -> Config:
    return shell(script, resources=Resources(memory=MemoryLimits(max_bytes=32 * MIB)))


def ended(container: Container) -> ExitStatus:
    exit_status = container.wait(60)
    assert exit_status is not None
    return exit_status


def outlived_kills(engine: Engine, name: str) -> int:
    path = Path(engine.store.directory(name), "run.json")
    return int(json.loads(path.read_text())["oomKills"])


def test_an_init_that_ran_out_of_memory_has_the_figures_of_its_cgroup(engine: Engine) -> None:
    container = engine.create("greedy", limited(f"exec {HOG}"))
    container.start()
    exit_status = ended(container)
    assert (exit_status.signal, exit_status.oom) == (signal.SIGKILL, True)
    memory = exit_status.memory
    assert memory is not None
    assert memory.limit_bytes == 32 * MIB
    assert memory.oom_kills == 1
    assert memory.peak_bytes is not None
    assert 30 * MIB < memory.peak_bytes <= 32 * MIB
    assert memory.usage_bytes is not None
    assert memory.usage_bytes <= memory.peak_bytes
    told = "killed by signal 9 (out of memory: reached 32Mi of resources.memory.max 32Mi)"
    assert exit_status.describe() == told


def test_the_figures_are_those_of_the_end_though_another_run_has_its_own_cgroup(
    engine: Engine,
) -> None:
    container = engine.create("greedy", limited(f"exec {HOG}"))
    container.start()
    before = ended(container)
    container.reconfigure(shell("sleep 60"))
    container.start()
    assert container.refresh().last_exit == before
    assert before.memory is not None


def test_a_kill_by_hand_after_another_processs_oom_is_no_oom(engine: Engine) -> None:
    container = engine.create("parent", limited(f"{HOG}; echo outlived; sleep 60; true"))
    container.start()
    assert eventually(lambda: bool(output(engine, "parent")))
    assert eventually(lambda: outlived_kills(engine, "parent") == 1)
    container.signal(signal.SIGKILL)
    exit_status = ended(container)
    assert (exit_status.signal, exit_status.oom) == (signal.SIGKILL, False)
    assert exit_status.memory is None


def test_an_init_that_runs_out_of_memory_after_another_process_did_is_told(engine: Engine) -> None:
    wait = "trap 'go=1' USR1; go=; echo outlived; while [ -z \"$go\" ]; do sleep 0.05; done"
    container = engine.create("twice", limited(f"{HOG}; {wait}; exec {HOG}"))
    container.start()
    assert eventually(lambda: bool(output(engine, "twice")))
    assert eventually(lambda: outlived_kills(engine, "twice") == 1)
    container.signal(signal.SIGUSR1)
    exit_status = ended(container)
    assert (exit_status.signal, exit_status.oom) == (signal.SIGKILL, True)
    assert exit_status.memory is not None
    assert exit_status.memory.oom_kills == 2


def test_a_shell_that_passes_its_childs_oom_on_tells_of_it(engine: Engine) -> None:
    container = engine.create("shell", limited(f"{HOG}; exit $?"))
    container.start()
    exit_status = ended(container)
    assert (exit_status.code, exit_status.oom) == (137, True)
    assert exit_status.memory is not None
    assert exit_status.memory.oom_kills == 1


def test_a_success_is_no_oom_whatever_was_killed_on_the_way(engine: Engine) -> None:
    container = engine.create("fine", limited(f"{HOG}; exit 0"))
    container.start()
    exit_status = ended(container)
    assert (exit_status.code, exit_status.oom, exit_status.memory) == (0, False, None)


def test_a_kill_by_hand_has_no_figures(engine: Engine) -> None:
    container = engine.create("killed", limited("sleep 60"))
    container.start()
    container.signal(signal.SIGKILL)
    exit_status = ended(container)
    assert (exit_status.signal, exit_status.oom, exit_status.memory) == (9, False, None)
    assert exit_status.describe() == "killed by signal 9"


def test_a_run_file_of_an_older_version_is_still_understood(engine: Engine) -> None:
    container = engine.create("old", limited("exit 3"))
    container.start()
    ended(container)
    path = Path(engine.store.directory("old"), "run.json")
    run = json.loads(path.read_text())
    del run["exit"]["memory"]
    path.write_text(json.dumps(run))
    exit_status = engine.load("old").refresh().exit
    assert exit_status is not None
    assert (exit_status.code, exit_status.memory) == (3, None)
