"""Configs whose mounts are listed, as an OCI config lists them, and what is seen of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconciler.model.config import Config, Rootfs, SeccompMode, Security
from reconciler.model.isolation import (
    Isolation,
    MountSpec,
)

OPEN = Security(seccomp=SeccompMode.UNCONFINED, no_new_privileges=False)
KERNEL_FS = (
    MountSpec(destination="/proc", type="proc", source="proc"),
    MountSpec(
        destination="/dev",
        type="tmpfs",
        source="tmpfs",
        options=("nosuid", "strictatime", "mode=755", "size=65536k"),
    ),
    MountSpec(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    MountSpec(destination="/sys", type="sysfs", source="sysfs", options=("nosuid", "noexec", "ro")),
)


def listed(
    root: Path, script: str, *more: MountSpec, readonly: bool = False, **isolation: Any
) -> Config:
    isolation.setdefault("mounts", (*KERNEL_FS, *more))
    return Config(
        command=("/bin/sh", "-c", script),
        rootfs=Rootfs(path=str(root), readonly=readonly),
        user="0:0",
        security=OPEN,
        isolation=Isolation(**isolation),
    )


def mount_rows(rows: list[str]) -> dict[str, tuple[set[str], str]]:
    """Return the options and the file system type by mount point, of lines of mountinfo."""
    found = {}
    for row in rows:
        left, _, right = row.partition(" - ")
        fields = left.split()
        found[fields[4]] = (set(fields[5].split(",")), right.split()[0])
    return found
