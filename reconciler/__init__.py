"""reconciler: keep the containers of one Linux host equal to a directory of YAML files.

The public API is `Engine` (and the types its methods take and return); it is loaded on
first use, so that `import reconciler` stays free of cost.
"""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the import of typing

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.engine.events import OomEvent, OomEvents
    from reconciler.engine.process import Process
    from reconciler.engine.session import Session
    from reconciler.errors import ConfigInvalid, ErrorCode, ReconcilerError
    from reconciler.model.config import (
        Command,
        Config,
        CpuLimits,
        HugetlbLimit,
        IoDeviceLimits,
        IoLimits,
        LogLimits,
        MemoryLimits,
        Mount,
        MountType,
        NetworkMode,
        PidsLimits,
        Resources,
        Rlimit,
        Rootfs,
        SeccompMode,
        Security,
    )
    from reconciler.model.isolation import IdMapping, Isolation, NamespaceMode, Namespaces
    from reconciler.model.state import ExitStatus, Status
    from reconciler.model.stats import Stats

__version__ = "0.1.0"

__all__ = [
    "Command",
    "Config",
    "ConfigInvalid",
    "Container",
    "CpuLimits",
    "Engine",
    "ErrorCode",
    "ExitStatus",
    "HugetlbLimit",
    "IdMapping",
    "IoDeviceLimits",
    "IoLimits",
    "Isolation",
    "LogLimits",
    "MemoryLimits",
    "Mount",
    "MountType",
    "NamespaceMode",
    "Namespaces",
    "NetworkMode",
    "OomEvent",
    "OomEvents",
    "PidsLimits",
    "Process",
    "ReconcilerError",
    "Resources",
    "Rlimit",
    "Rootfs",
    "SeccompMode",
    "Security",
    "Session",
    "Stats",
    "Status",
    "__version__",
]

_PUBLIC = {
    "Command": "reconciler.model.config",
    "Config": "reconciler.model.config",
    "ConfigInvalid": "reconciler.errors",
    "Container": "reconciler.engine.container",
    "CpuLimits": "reconciler.model.config",
    "Engine": "reconciler.engine.engine",
    "ErrorCode": "reconciler.errors",
    "ExitStatus": "reconciler.model.state",
    "HugetlbLimit": "reconciler.model.config",
    "IdMapping": "reconciler.model.isolation",
    "IoDeviceLimits": "reconciler.model.config",
    "IoLimits": "reconciler.model.config",
    "Isolation": "reconciler.model.isolation",
    "LogLimits": "reconciler.model.config",
    "MemoryLimits": "reconciler.model.config",
    "Mount": "reconciler.model.config",
    "MountType": "reconciler.model.config",
    "NamespaceMode": "reconciler.model.isolation",
    "Namespaces": "reconciler.model.isolation",
    "NetworkMode": "reconciler.model.config",
    "OomEvent": "reconciler.engine.events",
    "OomEvents": "reconciler.engine.events",
    "PidsLimits": "reconciler.model.config",
    "Process": "reconciler.engine.process",
    "ReconcilerError": "reconciler.errors",
    "Resources": "reconciler.model.config",
    "Rlimit": "reconciler.model.config",
    "Rootfs": "reconciler.model.config",
    "SeccompMode": "reconciler.model.config",
    "Security": "reconciler.model.config",
    "Session": "reconciler.engine.session",
    "Stats": "reconciler.model.stats",
    "Status": "reconciler.model.state",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reconciler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
