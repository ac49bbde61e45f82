"""Loads this package's modules by their names alone, from the byte code that Python keeps.

Half of what a small module costs is the search for it: which of five endings in which of four
directories, and the making of the names of its byte code. For a command that loads a hundred it
is 5 ms. What is not as expected (no byte code, or older than its source) is left to Python.
Called by the entrances of short-lived processes, before they import anything else.
"""

from __future__ import annotations

import marshal
import posix  # os would load more than this needs
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

from reconciler.lean import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from reconciler.lean.snapshot import Snapshot

_HEADER = 16  # magic number, flags, time and size of the source (PEP 552)


def install(name: str | None = None) -> Snapshot | None:
    """Have the modules of this package loaded so from now on, where Python keeps byte code.

    Those of the snapshot `name` are loaded at once, if there is one (`snapshot`); returns it.
    """
    if sys.pycache_prefix is not None or sys.flags.optimize:
        return None
    package, _, _ = __name__.partition(".")
    directory, _, _ = __file__.rpartition("/lean/")
    importer = Importer(package, directory)
    sys.meta_path.insert(0, importer)
    if name is None:
        return None
    from reconciler.lean.snapshot import Snapshot

    importer.loaded = []
    return Snapshot(importer, directory, name)


class Importer:
    """Finder and loader of the modules below `directory`, which is the package `package`.

    `loaded` are the modules it has executed, if that is a list: (name, whether it is a package,
    code).
    """

    def __init__(self, package: str, directory: str) -> None:
        self._prefix = f"{package}."
        self._root = directory.removesuffix(package)
        self._ending = f".{sys.implementation.cache_tag}.pyc"
        self._found: dict[str, CodeType] = {}
        self.loaded: list[tuple[str, bool, CodeType]] | None = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how to load a module of the package; None leaves it to the next finder."""
        if not name.startswith(self._prefix):
            return None
        directory, _, last = (self._root + name.replace(".", "/")).rpartition("/")
        code = self._load(directory, last)
        is_package = code is None
        if code is None:
            directory = f"{directory}/{last}"
            code = self._load(directory, "__init__")
            if code is None:
                return None
        self._found[name] = code
        loader: Any = self  # not of importlib's class, which would have to be loaded
        spec = ModuleSpec(name, loader, origin=code.co_filename, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [directory]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module that was found."""
        code = self._found.pop(module.__name__)
        exec(code, module.__dict__)  # noqa: S102
        if self.loaded is not None:
            self.loaded.append((module.__name__, hasattr(module, "__path__"), code))

    def _load(self, directory: str, name: str) -> CodeType | None:
        source = f"{directory}/{name}.py"
        try:
            fd = posix.open(f"{directory}/__pycache__/{name}{self._ending}", posix.O_RDONLY)
        except OSError:
            return None
        try:
            data = posix.read(fd, posix.fstat(fd).st_size)
            status = posix.stat(source)
        except OSError:
            return None
        finally:
            posix.close(fd)
        changed, size = int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
        stamp = changed.to_bytes(4, "little") + size.to_bytes(4, "little")
        if data[:_HEADER] != MAGIC_NUMBER + b"\0\0\0\0" + stamp:
            return None
        code: CodeType = marshal.loads(memoryview(data)[_HEADER:])  # noqa: S302 - as Python
        return code if code.co_filename == source else None
