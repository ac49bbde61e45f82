"""Steps on the wire, and the words they use for themselves."""

from __future__ import annotations

import json
import types
import typing

import pytest

from reconciler.monitor.steps import decode_steps, encode_steps, load_steps, process
from reconciler.monitor.steps.process import Execute

SAMPLES: dict[type, object] = {str: "/x", int: 3, float: 0.5, bool: True, list: [], dict: {}}


def sample(step: type) -> object:
    """Return a step of this class with some value in every field."""
    values = []
    for hint in typing.get_type_hints(step).values():
        parts = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
        kinds = [typing.get_origin(part) or part for part in parts]
        values.append(next(SAMPLES[kind] for kind in kinds if kind in SAMPLES))
    return step(*values)


@pytest.mark.parametrize("name", sorted(load_steps()))
def test_every_step_survives_the_wire(name: str) -> None:
    step = sample(load_steps()[name])
    if isinstance(step, Execute):
        step = Execute(["true"], {"A": "b"})
    assert decode_steps(json.loads(json.dumps(encode_steps([step])))) == [step]


@pytest.mark.parametrize("name", sorted(load_steps()))
def test_every_step_describes_itself_in_one_lower_case_line(name: str) -> None:
    step = sample(load_steps()[name])
    text = Execute(["true"], {}).describe() if isinstance(step, Execute) else step.describe()  # type: ignore[attr-defined]
    assert text
    assert "\n" not in text
    assert text[0].islower()


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(KeyError):
        decode_steps([["Nonsense"]])


def test_a_command_without_a_slash_is_searched_on_the_containers_path() -> None:
    assert Execute(["sh"], {"PATH": "/nowhere:/bin"}).find() == "/bin/sh"
    assert Execute(["./x/y"], {}).find() == "./x/y"
    with pytest.raises(FileNotFoundError):
        Execute(["no-such-command"], {"PATH": "/bin"}).find()


def test_a_file_on_the_path_that_is_not_executable_is_no_permission() -> None:
    with pytest.raises(PermissionError):
        Execute(["passwd"], {"PATH": "/etc"}).find()
    assert process.Execute(["passwd"], {"PATH": "/etc:/usr/bin"}).find() == "/usr/bin/passwd"
