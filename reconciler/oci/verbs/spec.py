"""`spec`: write a config.json to begin with."""

from __future__ import annotations

import os

from reconciler.cgroup.detect import Mode, detect
from reconciler.engine.own_mounts import MASKED_PATHS, READONLY_PATHS
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Any, json
from reconciler.oci.bundle import CONFIG_NAME, MOST_VERSION
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_KERNEL_FS = ["nosuid", "noexec", "nodev"]


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Write it into the bundle. Raises: ConfigInvalid when there is one, SystemError."""
    path = os.path.join(options["bundle"], CONFIG_NAME)
    text = json.dumps(make_spec(is_rootless=options["rootless"]), indent="\t") + "\n"
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        message = f"cannot write {path}: it exists; remove it first"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, path=path) from error
    except OSError as error:
        raise from_os_error(error, f"cannot write {path}") from error
    return 0


def make_spec(*, is_rootless: bool) -> dict[str, Any]:
    """Return a config that runs a shell, `is_rootless` for a user other than root."""
    namespaces = ["pid", "network", "ipc", "uts", "mount"]
    if detect().mode is Mode.V2:  # on v1 as runc: tools that begin with this add to it
        namespaces.append("cgroup")
    linux: dict[str, Any] = {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in namespaces],
        "maskedPaths": list(MASKED_PATHS),
        "readonlyPaths": list(READONLY_PATHS),
    }
    if is_rootless:
        del linux["resources"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    return {
        "ociVersion": MOST_VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "reconciler",
        "mounts": _mounts(is_rootless=is_rootless),
        "linux": linux,
    }


def _process() -> dict[str, Any]:
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {
            kind: list(_CAPABILITIES) for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(*, is_rootless: bool) -> list[dict[str, Any]]:
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    rows = [
        ("/proc", "proc", "proc", []),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts if is_rootless else [*pts, "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", [*_KERNEL_FS, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", _KERNEL_FS),
        ("/sys", "sysfs", "sysfs", [*_KERNEL_FS, "ro"]),
    ]
    if is_rootless:  # sysfs needs a network namespace that is the user namespace's own
        rows[-1] = ("/sys", "none", "/sys", ["rbind", *_KERNEL_FS, "ro"])
    else:
        rows.append(("/sys/fs/cgroup", "cgroup", "cgroup", [*_KERNEL_FS, "relatime", "ro"]))
    return [
        {"destination": target, "type": kind, "source": source}
        | ({"options": options} if options else {})
        for target, kind, source, options in rows
    ]
