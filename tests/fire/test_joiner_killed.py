"""A further process whose joiner is killed at each of its writes: nothing of it stays."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Command, Config, Engine, Status
from reconciler.errors import ErrorCode
from tests.conftest import RunDirs
from tests.contract.test_container_interface import code_of
from tests.e2e.waiting import wait_until
from tests.fire.tracing import attached

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("strace")]

_MOST = 40  # writes of a joiner, and more


@pytest.fixture
def engine(run_dirs: RunDirs) -> Iterator[Engine]:
    made = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    yield made
    made.handle("web").destroy()
    made.retire()


def test_the_container_still_ends_and_no_child_is_left(engine: Engine, tmp_path: Path) -> None:
    container = engine.create("web", Config(command=("sleep", "1000")))
    init = container.start().pid
    pid = engine.monitor.ping()["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children")

    def is_init_alone() -> bool:
        return children.read_text().split() == [str(init)]

    killed = 0
    for number in range(1, _MOST):
        with attached(pid, tmp_path, f"inject=write:signal=KILL:when={number}"):
            code = code_of(lambda: container.start(Command(argv=("sleep", "1000"))))
        if code is None:
            break
        killed += 1
        assert code in (ErrorCode.SystemError, ErrorCode.ContainerNotRunning)
        wait_until(is_init_alone, "nothing of it is left")
    assert code is None
    assert killed > 0
    assert container.stop(signal.SIGKILL, 0) is not None
    assert container.status() is Status.STOPPED
    assert children.read_text() == ""
