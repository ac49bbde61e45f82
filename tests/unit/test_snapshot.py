"""A snapshot loads what was loaded when it was made, and only while that is still what there is."""

from __future__ import annotations

import importlib
import importlib.util
import os
import py_compile
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.lean import snapshot
from reconciler.lean.importer import Importer
from reconciler.lean.snapshot import Snapshot

_SOURCES = {
    "__init__": "",
    "one": "from sample.part import two\nfrom sample.part.three import WHO\nSUM = [two.WHO, WHO]\n",
    "part/__init__": "from sample.part.three import WHO as THREE\n",
    "part/two": "WHO = __name__, __file__, __package__, __spec__.name\n",
    "part/three": "WHO = __name__\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a package `sample`, compiled, of which one loads its own modules."""
    root = tmp_path / "sample"
    (root / "part").mkdir(parents=True)
    for name, text in _SOURCES.items():
        (root / f"{name}.py").write_text(text)
        py_compile.compile(str(root / f"{name}.py"), doraise=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield root
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sample"]:
        del sys.modules[name]


def take(root: Path) -> Snapshot:
    """Return the snapshot, and have what it loads before anything else."""
    forget()
    importlib.import_module("sample")  # as whoever takes a snapshot is in the package
    importer = Importer("sample", str(root))
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, Importer)]
    sys.meta_path.insert(0, importer)
    return Snapshot(importer, str(root), "cmd")


def make(root: Path) -> None:
    """Make the snapshot of what `sample.one` loads."""
    snapshot = take(root)
    assert not snapshot.is_loaded
    importlib.import_module("sample.one")
    snapshot.save()


def test_it_loads_all_that_was_loaded_with_all_that_belongs_to_it(package: Path) -> None:
    make(package)
    snapshot = take(package)
    assert snapshot.is_loaded
    assert {"sample", "sample.one", "sample.part.two", "sample.part.three"} <= sys.modules.keys()
    one = sys.modules["sample.one"]
    path = str(package / "part/two.py")
    assert [("sample.part.two", path, "sample.part", "sample.part.two"), "sample.part.three"] == (
        one.SUM
    )
    sample, part = sys.modules["sample"], sys.modules["sample.part"]
    assert (sample.one, sample.part, part.THREE) == (one, part, "sample.part.three")
    assert (part.two, part.three) == tuple(
        sys.modules[f"sample.part.{name}"] for name in ("two", "three")
    )
    assert part.__path__ == [str(package / "part")]


def test_what_is_not_in_it_is_imported_as_ever(package: Path) -> None:
    make(package)
    (package / "part/four.py").write_text("WHO = 'four'\n")
    assert take(package).is_loaded
    assert importlib.import_module("sample.part.four").WHO == "four"


@pytest.mark.parametrize("spoil", ["changed", "touched", "removed", "cut", "rubbish", "Python"])
def test_it_is_not_used_when_it_is_not_what_is_there(package: Path, spoil: str) -> None:
    make(package)
    source = package / "part/three.py"
    (kept,) = (package / "__pycache__").glob("cmd.*.modules")
    data = kept.read_bytes()
    match spoil:
        case "changed":
            source.write_text("WHO = 'changed'\n")
        case "touched":
            os.utime(source, (1, 1))
        case "removed":
            source.unlink()
        case "cut":
            kept.write_bytes(data[:-100])
        case "rubbish":
            kept.write_bytes(b"rubbish" * 100)
        case _:
            kept.write_bytes(data.replace(importlib.util.MAGIC_NUMBER, b"\0\0\r\n"))
    assert not take(package).is_loaded
    assert "sample.one" not in sys.modules


def test_a_stale_one_is_replaced_once_all_has_byte_code(package: Path) -> None:
    make(package)
    (package / "part/three.py").write_text("WHO = 'new one'\n")
    make(package)  # Python compiles `three`
    assert not take(package).is_loaded
    make(package)
    assert take(package).is_loaded
    assert sys.modules["sample.one"].SUM[1] == "new one"


def test_a_run_that_compiles_keeps_nothing(package: Path) -> None:
    """Or what is first run after an installation would leave a snapshot of nearly nothing."""
    for path in package.rglob("*.pyc"):
        path.unlink()
    make(package)
    assert list((package / "__pycache__").glob("cmd.*")) == []


@pytest.mark.parametrize("few", [0, 3])
def test_what_is_loaded_beside_it_is_added_if_it_is_much(
    few: int, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_FEW", few)
    first = take(package)
    importlib.import_module("sample.part.three")
    first.save()
    further = take(package)
    assert "sample.part.three" in sys.modules
    assert "sample.one" not in sys.modules
    importlib.import_module("sample.one")
    further.save()
    assert take(package).is_loaded
    assert ("sample.one" in sys.modules) == (few == 0)
    assert importlib.import_module("sample.one").SUM[1] == "sample.part.three"


def test_a_source_that_changes_while_the_command_runs_makes_it_stale(package: Path) -> None:
    """A container in the foreground may outlive an upgrade."""
    snapshot = take(package)
    importlib.import_module("sample.one")
    source = package / "part/three.py"
    source.write_text(source.read_text().replace("__name__", "'newer!'"))  # as long
    snapshot.save()
    assert not take(package).is_loaded


def test_a_source_that_is_replaced_by_one_as_old_and_as_large_makes_it_stale(
    package: Path,
) -> None:
    """As by packages whose files all have one date."""
    make(package)
    source = package / "part/three.py"
    status = source.stat()
    source.unlink()
    source.write_text("WHO = 'newer!'\n")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.stat().st_size == status.st_size
    assert not take(package).is_loaded


def test_a_copy_of_an_installation_does_not_run_the_original(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(package)
    copy = tmp_path / "copy/sample"
    shutil.copytree(package, copy)
    monkeypatch.syspath_prepend(copy.parent)
    assert not take(copy).is_loaded
    assert importlib.import_module("sample.one").SUM[0][1] == str(copy / "part/two.py")


def test_what_cannot_be_written_leaves_nothing(package: Path) -> None:
    cache = package / "__pycache__"
    before = sorted(os.listdir(cache))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        make(package)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(cache)) == before


def test_nothing_is_kept_where_no_byte_code_is(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    make(package)
    assert list((package / "__pycache__").glob("cmd.*")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_of_others_is_no_failure(package: Path) -> None:
    (package / "__pycache__").chmod(0o555)
    make(package)
    assert not take(package).is_loaded
