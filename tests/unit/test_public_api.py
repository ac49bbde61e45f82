"""The public API stays: what `from reconciler import ...` gives, and how it is called.

A parameter that is new has a default and comes last, or is for keywords alone. Whoever takes
something away or changes an order breaks those who use it, and changes this file knowingly.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.resources import files

import pytest

import reconciler

_TEXT = """
Command Config ConfigInvalid Container CpuLimits Engine ErrorCode ExitStatus HugetlbLimit IdMapping
IoDeviceLimits IoLimits Isolation LogLimits MemoryLimits Mount MountType NamespaceMode Namespaces
NetworkMode OomEvent OomEvents PidsLimits Process ReconcilerError Resources Rlimit Rootfs
SeccompMode Security Session Stats Status __version__
"""
NAMES = _TEXT.split()

# Without types; a name with = has a default, one after * is given by keyword.
SIGNATURES = {
    "Engine": "* run_dir= state_dir= cgroup_parent=",
    "Engine.create": "self container_id config annotations=",
    "Engine.load": "self container_id",
    "Engine.handle": "self container_id",
    "Engine.ids": "self",
    "Engine.list": "self",
    "Engine.exits": "self",
    "Engine.retire": "self",
    "Container.status": "self",
    "Container.processes": "self",
    "Container.stats": "self",
    "Container.limits": "self",
    "Container.start": "self command= streams=",
    "Container.execute": "self command streams",
    "Container.wait": "self timeout_s=",
    "Container.pending_exit": "self",
    "Container.oom": "self",
    "Container.signal": "self number",
    "Container.pause": "self",
    "Container.resume": "self",
    "Container.set": "self resources only=",
    "Container.stop": "self signal grace_ns",
    "Container.reconfigure": "self config",
    "Container.annotate": "self changes",
    "Container.destroy": "self * keep_logs=",
    "Process.wait": "self timeout_s=",
    "Process.wait_async": "self",
    "Process.__await__": "self",
    "OomEvents.fileno": "self",
    "OomEvents.read": "self",
    "OomEvents.close": "self",
    "OomEvents.__next__": "self",
    "OomEvents.__anext__": "self",
    "ReconcilerError.detail": "self",
    "ReconcilerError.to_json": "self",
}


def words_of(function: object) -> list[str]:
    words: list[str] = []
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(parameter.name + ("=" if parameter.default is not parameter.empty else ""))
    return words


def test_the_names_are_these_and_each_can_be_had() -> None:
    assert sorted(reconciler.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(reconciler))
    assert all(getattr(reconciler, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = reconciler.nonsense


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_was_called_so_far_can_be_called_on(name: str) -> None:
    owner, _, method = name.partition(".")
    function = getattr(reconciler, owner)
    function = getattr(function, method) if method else function
    words, known = words_of(function), SIGNATURES[name].split()
    assert words[: len(known)] == known
    assert all(word == "*" or word.endswith("=") for word in words[len(known) :])


@pytest.mark.parametrize("name", [*SIGNATURES, "Container.id", "Container.config"])
def test_each_is_described_and_typed(name: str) -> None:
    owner, _, method = name.partition(".")
    function = getattr(getattr(reconciler, owner), method or "__init__")
    if isinstance(function, property):
        assert function.fget is not None
        function = function.fget
    assert "return" in function.__annotations__
    is_dunder = function.__name__.startswith("__")
    assert inspect.getdoc(getattr(reconciler, owner) if is_dunder else function)


def test_the_types_are_for_those_who_use_it_too() -> None:
    assert files("reconciler").joinpath("py.typed").is_file()


def test_the_import_costs_nothing_until_a_name_is_used() -> None:
    program = "import sys, reconciler; print(*[n for n in sys.modules if n[:11] == 'reconciler.'])"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []
