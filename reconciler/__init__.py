"""reconciler: keep the containers of one Linux host equal to a directory of YAML files.

The public API is `Engine` (and the types its methods take and return); it is loaded on
first use, so that `import reconciler` stays free of cost.
"""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the import of typing

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.errors import ReconcilerError
    from reconciler.model.config import Config
    from reconciler.model.state import Status

__version__ = "0.1.0"

__all__ = ["Config", "Container", "Engine", "ReconcilerError", "Status", "__version__"]

_PUBLIC = {
    "Engine": "reconciler.engine.engine",
    "Container": "reconciler.engine.container",
    "Config": "reconciler.model.config",
    "Status": "reconciler.model.state",
    "ReconcilerError": "reconciler.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reconciler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
