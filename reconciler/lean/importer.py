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

    # A module: its name, whether it is a package, its code, and its source's stamp (`stamp_of`).
    Loaded = tuple[str, bool, CodeType, tuple[int, ...]]

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

    return Snapshot(importer, directory, name)


class Importer:
    """Finder and loader of the modules below `directory`, which is the package `package`.

    `loaded` are the modules it has executed, if that is a list: it is none once a module of the
    package came from elsewhere.
    """

    def __init__(self, package: str, directory: str) -> None:
        self._prefix = f"{package}."
        self._root = directory.removesuffix(package)
        self._ending = f".{sys.implementation.cache_tag}.pyc"
        self._found: dict[str, Loaded] = {}
        self.loaded: list[Loaded] | None = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how to load a module of the package; None leaves it to the next finder."""
        if not name.startswith(self._prefix):
            return None
        directory, _, last = (self._root + name.replace(".", "/")).rpartition("/")
        found = self._load(directory, last)
        is_package = found is None
        if found is None:
            found = self._load(f"{directory}/{last}", "__init__")
            if found is None:
                self.loaded = None
                return None
        self._found[name] = name, is_package, *found
        return self.make_spec(name, is_package, found[0])

    def make_spec(self, name: str, is_package: bool, code: CodeType) -> ModuleSpec:
        """Return what Python notes of a module of ours."""
        loader: Any = self  # not of importlib's class, which would have to be loaded
        spec = ModuleSpec(name, loader, origin=code.co_filename, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [code.co_filename.rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module that was found."""
        found = self._found.pop(module.__name__)
        exec(found[2], module.__dict__)  # noqa: S102
        if self.loaded is not None:
            self.loaded.append(found)

    def _load(self, directory: str, name: str) -> tuple[CodeType, tuple[int, ...]] | None:
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
        return (code, stamp_of(status)) if code.co_filename == source else None


def stamp_of(status: posix.stat_result) -> tuple[int, ...]:
    """Return what differs once a file was changed or replaced, also by one as old and as large."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size
