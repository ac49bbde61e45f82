"""A container that shares its pids with another: what sets that up is in sight of root inside.

Who traces has the same uid and no capability; with CAP_SYS_PTRACE nothing would stop it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.model.config import Config, Mount, MountType, SeccompMode, Security
from reconciler.model.isolation import Isolation, Namespaces
from tests.integration.conftest import shell
from tests.integration.oci.conftest import Oci, make_spec
from tests.security.test_runtime_exposed import TRACE

pytestmark = pytest.mark.requires_root

_STARTS = 15


@pytest.fixture
def tracer(engine: Engine, tmp_path: Path) -> tuple[int, Path]:
    """Return a container's init that traces what it may, and the file that it writes to."""
    said = tmp_path / "said"
    said.touch()
    tmp_path.chmod(0o755)
    mount = Mount(type=MountType.BIND, source=str(tmp_path), target="/srv", options=("rw",))
    security = Security(seccomp=SeccompMode.UNCONFINED, no_new_privileges=False)
    command = ("/usr/bin/python3", "-c", TRACE)
    config = Config(command=command, user="0:0", mounts=(mount,), security=security)
    container = engine.create("tracer", config)
    container.start()
    while "looking" not in said.read_text():
        os.sched_yield()
    assert container.record.init is not None
    return container.record.init.pid, said


def _check(said: Path) -> None:
    _, *rows = said.read_text().splitlines()
    assert rows  # the commands themselves could be traced
    programs = {row.partition("|")[0] for row in rows}
    assert not [one for one in programs if "memfd" in one or "python" in one]
    assert {row.split("|")[1] for row in rows} == {f"{0:016x}"}


def test_an_init_that_is_set_up_cannot_be_traced(engine: Engine, tracer: tuple[int, Path]) -> None:
    isolation = Isolation(namespaces=Namespaces(pid=f"/proc/{tracer[0]}/ns/pid"))
    for number in range(_STARTS):
        config = shell("exec sleep 0.01", user="0:0", isolation=isolation)
        container = engine.create(f"c{number}", config)
        assert container.start().wait(30) is not None
    _check(tracer[1])


def test_nor_one_of_the_command_line(
    oci: Oci, write_spec: Callable[[dict[str, Any]], None], tracer: tuple[int, Path]
) -> None:
    spec = make_spec("/bin/sleep", "0.01")
    spec["linux"]["namespaces"] = [
        {"type": kind} for kind in ("network", "ipc", "uts", "mount", "cgroup")
    ]
    spec["linux"]["namespaces"].append({"type": "pid", "path": f"/proc/{tracer[0]}/ns/pid"})
    write_spec(spec)
    for number in range(_STARTS):
        oci.run("run", oci.id(f"c{number}"))
    _check(tracer[1])
