"""reconciler: keep the containers of one Linux host equal to a directory of YAML files.

The public API is `Engine` (and the types its methods take and return); it is loaded on
first use, so that `import reconciler` stays free of cost.
"""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the import of typing

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.engine.events import OomEvents
    from reconciler.engine.process import Process
    from reconciler.errors import ErrorCode, ReconcilerError
    from reconciler.model.config import Command, Config, MemoryLimits, Resources
    from reconciler.model.state import ExitStatus, Status
    from reconciler.model.stats import Stats

__version__ = "0.1.0"

__all__ = [
    "Command",
    "Config",
    "Container",
    "Engine",
    "ErrorCode",
    "ExitStatus",
    "MemoryLimits",
    "OomEvents",
    "Process",
    "ReconcilerError",
    "Resources",
    "Stats",
    "Status",
    "__version__",
]

_PUBLIC = {
    "Command": "reconciler.model.config",
    "Config": "reconciler.model.config",
    "Container": "reconciler.engine.container",
    "Engine": "reconciler.engine.engine",
    "ErrorCode": "reconciler.errors",
    "ExitStatus": "reconciler.model.state",
    "MemoryLimits": "reconciler.model.config",
    "OomEvents": "reconciler.engine.events",
    "Process": "reconciler.engine.process",
    "ReconcilerError": "reconciler.errors",
    "Resources": "reconciler.model.config",
    "Stats": "reconciler.model.stats",
    "Status": "reconciler.model.state",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reconciler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
