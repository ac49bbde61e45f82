"""`features`: what this runtime can do. Source: runtime-spec features.md, features-linux.md."""

from __future__ import annotations

import sys

from reconciler import __version__
from reconciler.engine.mount_options import OPTION_WORDS
from reconciler.engine.setup_process import MEMORY_FLAGS, MEMORY_MODES
from reconciler.lean import Any, json
from reconciler.linux.capabilities import NAMES
from reconciler.oci.bundle import LEAST_VERSION, MOST_VERSION
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime

_HOOKS = (
    *("prestart", "createRuntime", "createContainer", "startContainer", "poststart"),
    "poststop",
)
_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Print it as JSON."""
    features = {
        "ociVersionMin": LEAST_VERSION,
        "ociVersionMax": MOST_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": list(OPTION_WORDS),
        "linux": _linux(),
        "potentiallyUnsafeConfigAnnotations": [],
        "annotations": {"io.github.reconciler.version": __version__},
    }
    sys.stdout.write(json.dumps(features, indent=4) + "\n")
    return 0


def _linux() -> dict[str, Any]:
    return {
        "namespaces": list(_NAMESPACES),
        "capabilities": [f"CAP_{name}" for name in NAMES],
        "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
        "seccomp": _seccomp(),
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": False, "schemata": False, "monitoring": False},
        "memoryPolicy": {"modes": list(MEMORY_MODES), "flags": list(MEMORY_FLAGS)},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    }


def _seccomp() -> dict[str, Any]:
    from reconciler.engine import seccomp_oci

    return {
        "enabled": True,
        "actions": sorted(seccomp_oci.ACTIONS),
        "operators": [f"SCMP_CMP_{name}" for name in seccomp_oci.OPERATORS],
        "knownFlags": list(seccomp_oci.FLAGS),
        "supportedFlags": list(seccomp_oci.FLAGS),
        "archs": sorted(seccomp_oci.ARCHITECTURES),
    }
