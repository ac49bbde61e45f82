"""The importer of `reconciler.lean` loads what is as Python left it, and nothing else."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.lean.importer import Importer


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a package `sample` with a module `one` and a package `part`, compiled."""
    root = tmp_path / "sample"
    (root / "part").mkdir(parents=True)
    for name in ("__init__", "one", "part/__init__", "part/two"):
        (root / f"{name}.py").write_text(f"WHO = __name__, {name!r}\n")
        py_compile.compile(str(root / f"{name}.py"), doraise=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [Importer("sample", str(root)), *sys.meta_path])
    yield root
    for name in [name for name in sys.modules if name.startswith("sample")]:
        del sys.modules[name]


def loaded_by_us(name: str) -> bool:
    module = importlib.import_module(name)
    return isinstance(module.__loader__, Importer)


def test_modules_and_packages_are_loaded_with_all_that_belongs_to_them(package: Path) -> None:
    assert loaded_by_us("sample.one")
    assert loaded_by_us("sample.part.two")
    part = importlib.import_module("sample.part")
    assert part.__path__ == [str(package / "part")]
    assert part.__file__ == str(package / "part/__init__.py")
    two = importlib.import_module("sample.part.two")
    assert two.WHO == ("sample.part.two", "part/two")
    assert two.__package__ == "sample.part"
    assert part.two is two


def test_what_is_newer_than_its_byte_code_is_left_to_python(package: Path) -> None:
    source = package / "one.py"
    source.write_text("WHO = 'changed'\n")
    assert not loaded_by_us("sample.one")
    assert importlib.import_module("sample.one").WHO == "changed"


def test_what_has_the_size_but_another_time_is_left_to_python(package: Path) -> None:
    os.utime(package / "one.py", (1, 1))
    assert not loaded_by_us("sample.one")


@pytest.mark.parametrize("spoil", ["nothing there", "no code", "another Python"])
def test_without_good_byte_code_it_is_left_to_python(package: Path, spoil: str) -> None:
    code = package / "__pycache__" / f"one.{sys.implementation.cache_tag}.pyc"
    if spoil == "nothing there":
        code.unlink()
    elif spoil == "no code":
        code.write_bytes(b"")
    else:
        code.write_bytes(b"\0\0\0\0" + code.read_bytes()[4:])
    assert not loaded_by_us("sample.one")


def test_a_package_that_was_moved_is_left_to_python(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    package.rename(other / "sample")
    monkeypatch.syspath_prepend(other)
    finder = Importer("sample", str(other / "sample"))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path[1:]])
    assert not loaded_by_us("sample.one")


def test_other_packages_and_what_does_not_exist_are_not_found(package: Path) -> None:
    finder = Importer("sample", str(package))
    assert finder.find_spec("samples.one") is None
    assert finder.find_spec("sample.none") is None
