from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.linux.dbus_wire import (
    CALL,
    DESTINATION,
    MEMBER,
    PATH,
    Message,
    decode_message,
    encode_message,
    message_size,
    split_signature,
)


def test_a_signature_is_split_into_complete_types() -> None:
    assert split_signature("ssa(sv)a(sa(sv))") == ["s", "s", "a(sv)", "a(sa(sv))"]
    assert split_signature("a{sv}aay(i(ss))") == ["a{sv}", "aay", "(i(ss))"]
    assert split_signature("") == []


def test_a_message_is_as_the_specification_lays_it_out() -> None:
    # Made by hand: a call of /a, member M, body "x".
    fields = b"\x01\x01o\0\x02\0\0\0/a\0" + b"\0" * 5 + b"\x03\x01s\0\x01\0\0\0M\0" + b"\0" * 6
    fields += b"\x08\x01g\0\x01s\0"
    expected = b"l\x01\0\x01\x06\0\0\0\x07\0\0\0" + bytes([len(fields), 0, 0, 0]) + fields
    expected += b"\0" * (-len(expected) % 8) + b"\x01\0\0\0x\0"
    message = Message(CALL, 7, {PATH: "/a", MEMBER: "M"}, ["x"])
    assert encode_message(message, "s") == expected
    assert message_size(expected[:16]) == len(expected)
    assert decode_message(expected).body == ["x"]


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    number=st.integers(0, 2**64 - 1),
    pids=st.lists(st.integers(0, 2**32 - 1)),
    small=st.integers(0, 255),
    is_so=st.booleans(),
)
def test_what_is_written_is_read_again(
    *, name: str, number: int, pids: list[int], small: int, is_so: bool
) -> None:
    properties = [("A", ("t", number)), ("PIDs", ("au", pids)), ("B", ("b", is_so))]
    body = [small, name, properties, []]
    message = Message(CALL, 1, {PATH: "/a/b", MEMBER: "Do", DESTINATION: "a.b"}, body)
    data = encode_message(message, "ysa(sv)a(sa(sv))")
    assert message_size(data[:16]) == len(data)
    assert decode_message(data).body == body


def test_what_is_no_message_is_refused() -> None:
    data = encode_message(Message(CALL, 1, {PATH: "/a", MEMBER: "M"}, ["x"]), "s")
    with pytest.raises(ValueError, match="not a message of D-Bus"):
        decode_message(data[:20])
