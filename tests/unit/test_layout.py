"""The shape of the tree: layers, sizes, imports, and names that do not belong in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reconciler"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Joined here, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("docker", "io"),
        ("quay", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("registry", "k8s", "io"),
        ("mcr", "microsoft", "com"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
    )
]


def import_contract(contract_id: str) -> dict[str, list[str]]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = config["tool"]["importlinter"]["contracts"]
    (found,) = [contract for contract in contracts if contract["id"] == contract_id]
    return dict(found)


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def project_files() -> list[Path]:
    """Every file that is or would be committed (`git ls-files`); a tree without git: skip."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip(f"needs a git clone: {listing.stderr.decode().strip()}")
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()]


def test_the_layers_of_the_import_contract_are_the_packages_on_disk() -> None:
    layers = [
        name.strip()
        for line in import_contract("layers")["layers"]
        for name in line.split("|")
        if not name.startswith("(")  # a module: __main__, lean
    ]
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert sorted(layers) == sorted(packages)


def test_every_layer_says_what_it_owns() -> None:
    silent = [
        path
        for path in PACKAGE.glob("*/__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_file_is_longer_than_400_lines() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in python_files()}
    assert {str(path): n for path, n in sizes.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    too_long = [
        f"{path}:{node.lineno} {node.name}: {size} lines"
        for path in python_files()
        for node in functions_of(path)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_importing_the_monitor_loads_nothing_heavy() -> None:
    """The import contract cannot see what the standard library imports; a process can."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((PACKAGE / "monitor").rglob("*.py"))
        if path.stem != "__main__"
    ]
    forbidden = import_contract("lean-monitor")["forbidden_modules"]
    # -S: no site-packages, so the monitor's imports also work with the standard library alone.
    program = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2].split(): importlib.import_module(name.removesuffix('.__init__'))\n"
        "print(*sorted(set(sys.argv[3].split()) & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, ROOT, " ".join(modules), " ".join(forbidden)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_no_file_names_a_registry_host() -> None:
    hosts = re.compile(rb"\b(" + b"|".join(re.escape(h.encode()) for h in REGISTRY_HOSTS) + rb")\b")
    naming = {
        str(path.relative_to(ROOT)): sorted(set(hosts.findall(path.read_bytes())))
        for path in project_files()
    }
    assert {name: found for name, found in naming.items() if found} == {}


def test_the_top_of_the_tree_holds_what_it_is_to_hold_and_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files are the project's is not known")
    top = {path.split("/")[0] for path in listed.stdout.split("\0") if path}
    named = {"reconciler", "schemas", "examples", "tests", "pyproject.toml"}
    named |= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} == named
