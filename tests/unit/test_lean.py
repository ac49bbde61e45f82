"""The stand-ins of `reconciler.lean` do what the originals of the standard library do."""

# mypy: disable-error-code="attr-defined,misc,unreachable,func-returns-value,has-type"
# mypy: disable-error-code="redundant-expr"
# These classes have a base that it cannot see: it takes their members for plain values.

from __future__ import annotations

import contextlib
import copy
import enum
import functools
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import reconciler.lean as lean_module
from reconciler.lean import json as json_module
from reconciler.lean import socket as socket_module

lean: Any = lean_module  # type checkers see the originals in it
lean_json: Any = json_module
lean_socket: Any = socket_module


class Point(lean.NamedTuple):
    x: int
    y: int = 7


class Colour(lean.StrEnum):
    RED = "red"
    BLUE = "blue"
    AZURE = "blue"

    def is_warm(self) -> bool:
        return self is Colour.RED


class Code(lean.IntEnum):
    One = 1
    Two = 2


class Flag(lean.IntFlag):
    A = 1
    B = 2


def test_none_of_the_originals_is_loaded() -> None:
    code = "import sys, reconciler.lean; print(*sys.modules)"
    arguments = [sys.executable, "-I", "-S", "-c", f"import sys;sys.path[:0]={sys.path};{code}"]
    loaded = subprocess.check_output(arguments, text=True).split()
    assert not {"typing", "enum", "contextlib", "functools", "re", "collections"} & set(loaded)


def test_a_named_tuple_is_made_by_place_and_by_name() -> None:
    assert Point(1) == Point(x=1, y=7) == (1, 7)
    assert repr(Point(1, y=2)) == "Point(x=1, y=2)"
    assert Point(1)._replace(y=3) == (1, 3)
    assert Point(1)._asdict() == {"x": 1, "y": 7}
    assert Point._fields == ("x", "y")
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)  # noqa: S301


def test_a_named_tuple_is_matched() -> None:
    match Point(1, 2):
        case Point(first, y=second):
            assert (first, second) == (1, 2)
        case _:
            pytest.fail("not matched")


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 2}), ((1,), {"z": 2})]
)
def test_a_named_tuple_refuses_what_does_not_fit(
    values: tuple[int, ...], named: dict[str, int]
) -> None:
    with pytest.raises(TypeError, match="Point takes"):
        Point(*values, **named)


def test_a_named_tuple_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2
    with pytest.raises(AttributeError):
        Point(1).z = 2


def test_members_of_an_enum_are_found_by_value_and_name() -> None:
    assert Colour("red") is Colour.RED is Colour["RED"]
    assert Colour.AZURE is Colour.BLUE
    assert list(Colour) == ["red", "blue"]
    assert (Code.One.name, Code.One.value, Code(2)) == ("One", 1, Code.Two)
    assert "red" in Colour
    assert len(Code) == 2
    assert Colour.RED.is_warm()
    assert not Colour.BLUE.is_warm()


def test_members_of_an_enum_are_shown_as_the_originals() -> None:
    class Original(enum.StrEnum):
        RED = "red"

    red = Original.RED
    assert f"{Colour.RED} {Colour.RED!s}" == f"{red} {red!s}" == "red red"
    assert repr(Colour.RED) == repr(red).replace("Original", "Colour")
    assert f"{Code.Two} {Code.Two!r} {Code.Two:03d}" == "2 <Code.Two: 2> 002"


def test_what_is_no_value_of_an_enum_is_refused() -> None:
    with pytest.raises(ValueError, match="'green' is not a valid Colour"):
        Colour("green")
    with pytest.raises(AttributeError, match="RED"):
        Colour.RED = "blue"


def test_a_member_stays_the_same_when_copied() -> None:
    assert copy.deepcopy(Colour.RED) is Colour.RED
    assert pickle.loads(pickle.dumps(Code.One)) is Code.One  # noqa: S301


def test_flags_can_be_joined() -> None:
    assert Flag.A | Flag.B == Flag(3) == 3


@pytest.mark.parametrize("module", [lean, contextlib])
def test_a_context_manager_sees_exceptions_and_may_end_them(module: Any) -> None:
    seen: list[str] = []

    @module.contextmanager  # type: ignore[untyped-decorator, unused-ignore]
    def watch(*, swallow: bool) -> Iterator[int]:
        try:
            yield 3
        except KeyError:
            seen.append("error")
            if not swallow:
                raise
        finally:
            seen.append("end")

    with watch(swallow=True) as given:
        assert given == 3
    with watch(swallow=True):
        raise KeyError
    with pytest.raises(KeyError), watch(swallow=False):
        raise KeyError
    with pytest.raises(ValueError, match="other"), watch(swallow=True):
        raise ValueError("other")
    with pytest.raises(StopIteration), watch(swallow=True):
        raise StopIteration
    assert seen == ["end", "error", "end", "error", "end", "end", "end"]


@pytest.mark.parametrize("module", [lean, contextlib])
def test_what_is_entered_is_left_in_reverse_order_also_when_one_fails(module: Any) -> None:
    left: list[str] = []

    def fail() -> None:
        raise OSError("failed")

    with pytest.raises(OSError, match="failed"), module.ExitStack() as stack:  # noqa: PT012
        stack.callback(left.append, "first")
        stack.callback(fail)
        stack.callback(left.append, "last")
    assert left == ["last", "first"]


def test_what_is_suppressed_is_what_is_named() -> None:
    with lean.suppress(OSError):
        raise FileNotFoundError
    with pytest.raises(KeyError), lean.suppress(OSError):
        raise KeyError


@pytest.mark.parametrize("module", [lean, functools])
def test_what_is_cached_is_computed_once(module: ModuleType) -> None:
    calls: list[int] = []

    class Thing:
        @module.cached_property  # type: ignore[untyped-decorator]
        def value(self) -> int:
            calls.append(0)
            return 5

    thing = Thing()
    assert (thing.value, thing.value, len(calls)) == (5, 5, 1)
    double = module.cache(lambda x: calls.append(x) or 2 * x)
    assert (double(2), double(2), len(calls)) == (4, 4, 2)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, False], "b": {"c": 'ü"\\\n'}},
        [],
        "text",
        3,
        [float("inf")],
        {"nested": [[[{}]]]},
        {1: Colour.RED, "code": Code.Two},
        Point(1),
    ],
)
def test_json_is_written_and_read_as_by_the_original(value: Any) -> None:
    text = json.dumps(value)
    assert lean_json.dumps(value) == text
    for given in (text, text.encode(), f" \n{text}\t"):
        assert lean_json.loads(given) == json.loads(given)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "1 2", '{"a" 1}', b"\xff", '"\n"', "nul"])
def test_what_is_no_json_is_refused_as_by_the_original(text: str | bytes) -> None:
    with pytest.raises(ValueError) as expected:  # noqa: PT011 - compared below
        json.loads(text)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        lean_json.loads(text)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="is not JSON serializable"):
        lean_json.dumps({"a": {1}})


def test_json_in_another_form_is_left_to_the_original() -> None:
    assert lean_json.dumps({"b": 1, "a": 2}, sort_keys=True, indent=1) == (
        '{\n "a": 2,\n "b": 1\n}'
    )


def test_descriptors_go_through_a_socket() -> None:
    read_end, write_end = os.pipe()
    first, second = lean_socket.socketpair()
    with first, second:
        lean_socket.send_fds(first, [b"here"], [read_end, write_end])
        data, fds, _, _ = lean_socket.recv_fds(second, 100, 4)
    assert (data, len(fds)) == (b"here", 2)
    os.write(fds[1], b"through")
    assert os.read(fds[0], 10) == b"through"
    for fd in (read_end, write_end, *fds):
        os.close(fd)


def test_a_pair_of_sockets_is_of_the_kind_asked_for() -> None:
    first, second = lean_socket.socketpair(lean_socket.AF_UNIX, lean_socket.SOCK_SEQPACKET)
    with first, second:
        first.send(b"one")
        first.send(b"two")
        assert second.recv(100) == b"one"


def test_a_connection_is_accepted(tmp_path: Path) -> None:
    kind = lean_socket.AF_UNIX, lean_socket.SOCK_SEQPACKET
    with lean_socket.socket(*kind) as listener, lean_socket.socket(*kind) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        client.connect(str(tmp_path / "s"))
        served, _ = listener.accept()
        with served:
            served.sendall(b"hello")
            assert client.recv(10) == b"hello"
        assert client.recv(10) == b""


def test_a_pattern_is_compiled_at_its_first_use() -> None:
    number = lean.pattern(r"[0-9]+", lean.ASCII)
    assert number.fullmatch("12")
    assert not number.fullmatch("1x")


@pytest.mark.parametrize("text", ["{", '{"a": 1', "[1,", '"abc', "", "[]x"])
def test_damaged_json_is_refused_where_the_original_is_not_loaded_yet(text: str) -> None:
    """Its scanner finds the class of its error only in `json.decoder`."""
    script = "import sys\nfrom reconciler.lean import json\nassert 'json' not in sys.modules\n"
    script += "try:\n    json.loads(sys.argv[1])\nexcept ValueError:\n    sys.exit(3)"
    assert subprocess.run([sys.executable, "-c", script, text], check=False).returncode == 3
