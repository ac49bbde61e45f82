"""User namespaces with maps of ids, and mounts with their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import Config
from reconciler.model.isolation import (
    IdMapping,
    MountSpec,
    Namespaces,
)
from tests.integration.conftest import run
from tests.integration.listed import listed

pytestmark = pytest.mark.requires_root


def mapped(root: Path, script: str, *more: MountSpec, **isolation: Any) -> Config:
    """Return a Config with a user namespace whose ids begin at 100000 of the host."""
    for directory, _, files in os.walk(root):
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            os.chown(path, 100_000, 100_000, follow_symlinks=False)
    ids = (IdMapping(container_id=0, host_id=100_000, size=65_536),)
    return listed(
        root,
        script,
        *more,
        namespaces=Namespaces(user="private"),
        uid_mappings=ids,
        gid_mappings=ids,
        **isolation,
    )


def test_root_of_a_user_namespace_is_nobody_on_the_host(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    bind = MountSpec(destination="/shared", type="bind", source=str(shared), options=("rbind",))
    script = (
        "id -u; cat /proc/self/uid_map; touch /shared/made; echo x > /dev/null; ls -ln /dev/null"
    )
    _, rows = run(engine, mapped(rootfs, script, bind))
    assert rows[0] == "0"
    assert rows[1].split() == ["0", "100000", "65536"]
    assert (shared / "made").stat().st_uid == 100_000
    assert rows[2].startswith("crw-rw-rw-")


def test_kernel_parameters_are_set_in_a_user_namespace_too(engine: Engine, rootfs: Path) -> None:
    values = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"
    _, rows = run(engine, mapped(rootfs, script, sysctl=values))
    assert rows == ["1", "9000"]


def test_a_further_process_joins_the_user_namespace(engine: Engine, rootfs: Path) -> None:
    from reconciler.model.config import Command

    container = engine.create("c1", mapped(rootfs, "sleep 60"))
    pid = container.start().pid
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        command = Command(argv=("/bin/sh", "-c", "id -u; readlink /proc/self/ns/user"))
        with container.execute(command, [null, write, write]) as session:
            ended = session.wait(30)
    finally:
        os.close(write)
        os.close(null)
    with os.fdopen(read) as stream:
        said = stream.read().splitlines()
    assert ended is not None
    assert ended.code == 0
    assert said == ["0", os.readlink(f"/proc/{pid}/ns/user")]


def test_a_user_namespace_without_a_mapping_for_root_is_refused(
    engine: Engine, rootfs: Path
) -> None:
    config = listed(rootfs, "true", namespaces=Namespaces(user="private"))
    with pytest.raises(ReconcilerError, match="no uid mapping") as caught:
        engine.create("c1", config).start()
    assert caught.value.code is ErrorCode.ConfigInvalid


def test_owners_of_an_idmapped_mount_are_shifted(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("")
    os.chown(data / "file", 7, 8)
    shifted = MountSpec(
        destination="/data",
        type="bind",
        source=str(data),
        options=("rbind", "ridmap"),
        uid_mappings=(IdMapping(container_id=0, host_id=1000, size=100),),
        gid_mappings=(IdMapping(container_id=0, host_id=2000, size=100),),
    )
    _, rows = run(engine, listed(rootfs, "stat -c '%u %g' /data/file", shifted))
    assert rows == ["1007 2008"]


def test_idmapping_without_maps_goes_by_those_of_the_user_namespace(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o700)  # nobody but the launcher may look in
    (data / "file").write_text("")
    own = MountSpec(destination="/data", type="bind", source=str(data), options=("bind", "idmap"))
    _, rows = run(engine, mapped(rootfs, "stat -c '%u %g' /data/file; touch /data/made", own))
    assert rows == ["0 0"]
    assert (data / "made").stat().st_uid == 0
