"""What cannot be started: each a code, a message to act on, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from reconciler import Config, Engine, ReconcilerError, Status
from reconciler.cgroup.core import directories
from reconciler.errors import ErrorCode
from reconciler.model.config import (
    MemoryLimits,
    Mount,
    MountType,
    Resources,
    Rlimit,
    Rootfs,
)
from tests.integration.conftest import shell

pytestmark = pytest.mark.requires_root


def refuse(engine: Engine, config: Config) -> ReconcilerError:
    """Start a container that must be refused; return the error after looking for left-overs."""
    container = engine.create("bad", config)
    with pytest.raises(ReconcilerError) as error:
        container.start()
    assert container.status() is Status.CREATED
    assert not any(os.path.exists(path) for path in directories(container.record.cgroups))
    assert engine.monitor.ping()["containers"] == 0
    assert error.value.container in ("bad", None)
    container.destroy()
    return error.value


def test_a_command_that_does_not_exist(engine: Engine) -> None:
    error = refuse(engine, Config(command=("nginxx", "-g")))
    assert error.code is ErrorCode.CommandNotFound
    assert (
        str(error) == "cannot start bad: the command nginxx is not on the PATH inside the container"
    )
    error = refuse(engine, Config(command=("/opt/none",)))
    assert error.code is ErrorCode.CommandNotFound
    assert (
        str(error) == "cannot start bad: the command /opt/none does not exist inside the container"
    )
    assert error.errno == 2


def test_a_command_that_cannot_be_executed(engine: Engine, rootfs: Path) -> None:
    (rootfs / "bin/plain").write_text("no program")
    error = refuse(
        engine,
        Config(command=("/bin/plain",), rootfs=Rootfs(path=str(rootfs))),
    )
    assert error.code is ErrorCode.CommandNotExecutable
    assert "/bin/plain is not executable for the user 0:0" in str(error)
    (rootfs / "bin/plain").chmod(0o755)
    error = refuse(engine, Config(command=("/bin/plain",), rootfs=Rootfs(path=str(rootfs))))
    assert error.code is ErrorCode.CommandNotExecutable
    assert "neither a program for this machine nor a script with a #! line" in str(error)
    (rootfs / "bin/plain").write_text("#!/bin/none\n")
    error = refuse(engine, Config(command=("plain",), rootfs=Rootfs(path=str(rootfs))))
    assert error.code is ErrorCode.CommandNotExecutable
    assert "its interpreter" in str(error)


def test_a_missing_rootfs(engine: Engine, tmp_path: Path) -> None:
    error = refuse(engine, shell("true", rootfs=Rootfs(path=str(tmp_path / "none"))))
    assert error.code is ErrorCode.RootfsNotFound
    assert "does not exist" in str(error)
    (tmp_path / "file").write_text("")
    error = refuse(engine, shell("true", rootfs=Rootfs(path=str(tmp_path / "file"))))
    assert error.code is ErrorCode.RootfsNotFound
    assert "is not a directory" in str(error)


def test_a_missing_mount_source(engine: Engine, tmp_path: Path) -> None:
    mount = Mount(type=MountType.BIND, source=str(tmp_path / "none"), target="/srv")
    error = refuse(engine, shell("true", mounts=(mount,)))
    assert error.code is ErrorCode.MountSourceNotFound
    assert error.path == str(tmp_path / "none")


def test_a_mount_target_that_cannot_be_made_on_the_hosts_root(
    engine: Engine, tmp_path: Path
) -> None:
    mount = Mount(type=MountType.BIND, source=str(tmp_path), target="/no/such/place")
    error = refuse(engine, shell("true", mounts=(mount,)))
    assert error.code is ErrorCode.ConfigInvalid
    assert "mkdir -p /no/such/place" in str(error)
    assert not os.path.exists("/no")


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/sys/kernel", "/"])
def test_a_mount_over_the_engines_own(engine: Engine, tmp_path: Path, target: str) -> None:
    mount = Mount(type=MountType.BIND, source=str(tmp_path), target=target)
    error = refuse(engine, shell("true", mounts=(mount,)))
    assert error.code is ErrorCode.ConfigInvalid


@pytest.mark.parametrize("user", ["nobody-here", "0:no-such-group"])
def test_a_missing_user_or_group(engine: Engine, user: str) -> None:
    error = refuse(engine, shell("true", user=user))
    assert error.code is ErrorCode.UserNotFound
    assert "use a number" in str(error)


def test_a_missing_working_directory(engine: Engine) -> None:
    error = refuse(engine, shell("true", workdir="/no/where"))
    assert error.code is ErrorCode.ConfigInvalid
    assert "cannot enter the working directory /no/where: no such file" in str(error)


def test_a_limit_that_the_host_cannot_enforce_is_refused_before_create(engine: Engine) -> None:
    resources = Resources(memory=MemoryLimits(high_bytes=2**26))
    if not engine.driver.unsupported(resources):
        pytest.skip("this host enforces memory.high: it has cgroup v2 memory control")
    with pytest.raises(ReconcilerError) as error:
        engine.create("bad", shell("true", resources=resources))
    assert error.value.code is ErrorCode.LimitNotSupported
    assert "memory.high" in str(error.value)
    assert engine.list() == []


def test_an_rlimit_above_what_root_may_set(engine: Engine) -> None:
    config = shell("true", rlimits=(Rlimit(type="NOFILE", soft=2**31, hard=2**31),))
    error = refuse(engine, config)
    assert error.code is ErrorCode.LimitNotSupported


def test_detail_has_the_step_the_errno_and_the_stack_trace(engine: Engine) -> None:
    error = refuse(engine, Config(command=("/opt/none",)))
    detail = error.detail()
    assert "step: execute /opt/none" in detail
    assert "errno: ENOENT" in detail
    assert "Traceback" in detail


def test_a_full_disk_for_the_record(tiny_disk: Path, engine: Engine) -> None:
    small = Engine(run_dir=str(tiny_disk / "run"), state_dir=engine.state_dir)
    small.store.prepare()
    (tiny_disk / "fill").write_bytes(b"x" * (tiny_disk.stat().st_blksize))
    with open(tiny_disk / "fill", "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(ReconcilerError) as error:
        small.create("full", shell("true"))
    assert error.value.code is ErrorCode.NoSpace
    assert small.list() == []
    assert os.listdir(small.store.containers_dir) == []
