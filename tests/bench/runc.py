"""The same container for runc: an OCI bundle equal to a Config, and running it.

The same: root (read-only), namespaces, standard mounts with their options, masked and read-only
paths, identity, no capabilities, no_new_privs, environment, limits, and cgroups below the same
parents. The seccomp profile has the system calls that the engine's filter allows, by name, with
its rule for clone's flags, ENOSYS for clone3 and no AF_VSOCK sockets; the rest is EPERM. runc
compiles it with libseccomp on each run, as it does for every user of runc.

Not the same: runc also joins the name=systemd and (where it is v1) freezer hierarchies, writes
the device rules that it always has, and pumps no logs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reconciler.cgroup.convert import quota_of
from reconciler.engine.own_mounts import MASKED_PATHS, READONLY_PATHS
from reconciler.engine.seccomp_profile import default_filter
from reconciler.engine.setup_process import DEFAULT_PATH
from reconciler.linux.seccomp import AUDIT_ARCH_AARCH64, AUDIT_ARCH_X86_64, SECCOMP_RET_ALLOW
from reconciler.linux.syscall_numbers import syscall_numbers
from reconciler.model.config import Config, Resources
from tests.unit.linux import bpf

_ARCHITECTURES = {
    "x86_64": (AUDIT_ARCH_X86_64, "SCMP_ARCH_X86_64"),
    "aarch64": (AUDIT_ARCH_AARCH64, "SCMP_ARCH_AARCH64"),
}
_CLONE_NEW_ANY = 0x7E020000
_AF_VSOCK = 40
_PRIVATE = ["nosuid", "noexec", "nodev"]


class Runc:
    """runc with a state directory of its own; each container has its bundle below `base`."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._command = ["runc", "--root", str(base / "state")]

    def make_bundle(self, container_id: str, config: Config, cgroup_parent: str) -> None:
        """Write `config.json`; `cgroup_parent` is relative to our own cgroups."""
        bundle = self._base / container_id
        bundle.mkdir(parents=True)
        content = _oci_config(config, container_id, f"{cgroup_parent}/{container_id}")
        (bundle / "config.json").write_text(json.dumps(content))

    def command(self, container_id: str, *options: str) -> list[str]:
        """Return the command line of `runc run`."""
        bundle = str(self._base / container_id)
        return [*self._command, "run", *options, "--bundle", bundle, container_id]

    def run(self, container_id: str) -> None:
        """Create, start, await and remove a container. Raises: CalledProcessError."""
        _quietly(self.command(container_id))

    def execute(self, container_id: str, *command: str) -> None:
        """Run a command in a container that runs. Raises: CalledProcessError."""
        _quietly([*self._command, "exec", container_id, *command])

    def delete_all(self) -> None:
        """Kill and remove every container of ours. Raises: CalledProcessError."""
        listing = subprocess.run(
            [*self._command, "list", "--quiet"], capture_output=True, text=True, check=True
        )
        for container_id in listing.stdout.split():
            _quietly([*self._command, "delete", "--force", container_id])


@contextlib.contextmanager
def make_runc(base: Path, cgroup_bases: dict[str, str], cgroup_parent: str) -> Iterator[Runc]:
    """Give a Runc; afterwards its containers are gone, and `cgroup_parent` in all hierarchies."""
    runc = Runc(base)
    try:
        yield runc
    finally:
        runc.delete_all()
        remove_parents(cgroup_bases.values(), cgroup_parent)


def remove_parents(bases: Iterable[str], name: str) -> None:
    """Remove what runc leaves: the parent, also in the hierarchies that the engine does not use."""
    for parent in {*cgroup_mounts(), *bases}:
        try:
            os.rmdir(f"{parent}/{name}")
        except FileNotFoundError:
            continue


def cgroup_mounts() -> list[str]:
    """Return where the hierarchies are mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        fields = [line.split() for line in file]
    return [row[4] for row in fields if row[row.index("-") + 1] in ("cgroup", "cgroup2")]


def _quietly(command: list[str]) -> None:
    subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _oci_config(config: Config, container_id: str, cgroups_path: str) -> dict[str, Any]:
    empty: list[str] = []
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    env = {"PATH": DEFAULT_PATH, "HOME": "/root", "HOSTNAME": container_id} | config.env
    namespaces = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "umask": 0o022},
            "args": list(config.command),
            "env": [f"{key}={value}" for key, value in env.items()],
            "cwd": config.workdir,
            "capabilities": dict.fromkeys(sets, empty),
            "noNewPrivileges": True,
        },
        "root": {"path": config.rootfs.path, "readonly": config.rootfs.readonly},
        "hostname": container_id,
        "mounts": _mounts(),
        "linux": {
            "namespaces": [{"type": name} for name in namespaces],
            "cgroupsPath": cgroups_path,
            "resources": _resources(config.resources),
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
            "seccomp": _seccomp(platform.machine()),
        },
    }


def _mounts() -> list[dict[str, Any]]:
    dev = ["nosuid", "noexec"]
    pts = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    rows: list[tuple[str, str, list[str]]] = [
        ("proc", "/proc", _PRIVATE),
        ("tmpfs", "/dev", [*dev, "mode=755", "size=64k"]),
        ("devpts", "/dev/pts", [*dev, *pts]),
        ("tmpfs", "/dev/shm", [*_PRIVATE, "mode=1777", "size=64m"]),
        ("mqueue", "/dev/mqueue", _PRIVATE),
        ("sysfs", "/sys", [*_PRIVATE, "ro"]),
    ]
    return [
        {"type": kind, "source": kind, "destination": target, "options": options}
        for kind, target, options in rows
    ]


def _resources(resources: Resources) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if resources.memory.max_bytes is not None:
        result["memory"] = {"limit": resources.memory.max_bytes}
    if resources.cpu.max_milli is not None:
        quota_us, period_us = quota_of(resources.cpu.max_milli)
        result["cpu"] = {"quota": quota_us, "period": period_us}
    if resources.pids.max is not None:
        result["pids"] = {"limit": resources.pids.max}
    return result


def _seccomp(machine: str) -> dict[str, Any]:
    arch, oci_name = _ARCHITECTURES[machine]
    program = default_filter(frozenset(), machine)
    conditional = {"clone", "clone3", "socket"}
    allowed = [
        name
        for name, number in syscall_numbers(machine).items()
        if name not in conditional and bpf.run(program, arch, number) == SECCOMP_RET_ALLOW
    ]
    clone_flags = {"index": 0, "value": _CLONE_NEW_ANY, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    no_vsock = {"index": 0, "value": _AF_VSOCK, "op": "SCMP_CMP_NE"}
    allow = "SCMP_ACT_ALLOW"
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": [oci_name],
        "syscalls": [
            {"names": allowed, "action": allow},
            {"names": ["clone"], "action": allow, "args": [clone_flags]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            {"names": ["socket"], "action": allow, "args": [no_vsock]},
        ],
    }
