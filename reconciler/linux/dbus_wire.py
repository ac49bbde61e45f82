"""Values and messages of D-Bus as bytes, in little-endian order; pure.

Called by `dbus`. A variant is a pair (signature, value), an array or struct a list or tuple, a
dict entry a pair. Source: D-Bus Specification 0.43, Marshaling and Message Format.
"""

from __future__ import annotations

import struct

from reconciler.lean import Any, NamedTuple

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION = 1, 2, 3, 4, 5, 6
_SIGNATURE = 8
_FIELD_TYPES = {PATH: "o", REPLY_SERIAL: "u", _SIGNATURE: "g"}
_FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_START = 16  # bytes of a header before its fields


class Message(NamedTuple):
    """One message: its kind, its header fields by code, and its body."""

    kind: int
    serial: int
    fields: dict[int, Any]
    body: list[Any]


def encode_message(message: Message, signature: str) -> bytes:
    """Return a message whose body has the types of `signature`."""
    body = bytearray()
    _write_all(body, signature, message.body)
    fields = [
        (code, (_FIELD_TYPES.get(code, "s"), value)) for code, value in message.fields.items()
    ]
    if signature:
        fields.append((_SIGNATURE, ("g", signature)))
    data = bytearray(struct.pack("<cBBBII", b"l", message.kind, 0, 1, len(body), message.serial))
    _write(data, "a(yv)", fields)
    _pad(data, 8)
    return bytes(data + body)


def message_size(start: bytes) -> int:
    """Return the size of the message that begins with these 16 bytes."""
    order = "<" if start[:1] == b"l" else ">"
    body_size, _, fields_size = struct.unpack_from(order + "III", start, 4)
    return int(_START + (fields_size + 7) // 8 * 8 + body_size)


def decode_message(data: bytes) -> Message:
    """Return a message. Raises: ValueError when it is none."""
    try:
        reader = _Reader(data, "<" if data[:1] == b"l" else ">")
        kind, serial = data[1], struct.unpack_from(reader.order + "I", data, 8)[0]
        reader.at = 12
        fields = {code: value for code, (_, value) in reader.read("a(yv)")}
        reader.align(8)
        body = [reader.read(one) for one in split_signature(fields.get(_SIGNATURE, ""))]
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"not a message of D-Bus: {error}") from error
    return Message(kind, serial, fields, body)


def split_signature(signature: str) -> list[str]:
    """Return the complete types that a signature is made of."""
    types: list[str] = []
    while signature:
        end = _end_of_type(signature)
        types.append(signature[:end])
        signature = signature[end:]
    return types


def _end_of_type(signature: str) -> int:
    if signature[0] == "a":
        return 1 + _end_of_type(signature[1:])
    if signature[0] not in "({":
        return 1
    depth = 0
    for index, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return index + 1
    raise ValueError(f"the signature {signature!r} has no end")


def _alignment(one: str) -> int:
    if one[0] in "({xtd":
        return 8
    return {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2}.get(one[0], 4)


def _pad(data: bytearray, size: int) -> None:
    data += bytes(-len(data) % size)


def _write_all(data: bytearray, signature: str, values: Any) -> None:  # noqa: ANN401
    for one, value in zip(split_signature(signature), values, strict=True):
        _write(data, one, value)


def _write(data: bytearray, one: str, value: Any) -> None:  # noqa: ANN401  (any type's value)
    kind = one[0]
    _pad(data, _alignment(one))
    if kind in _FIXED:
        data += struct.pack("<" + _FIXED[kind], value)
    elif kind == "b":
        data += struct.pack("<I", bool(value))
    elif kind in "so":
        text = value.encode()
        data += struct.pack("<I", len(text)) + text + b"\0"
    elif kind == "g":
        data += bytes([len(value)]) + value.encode() + b"\0"
    elif kind == "v":
        _write(data, "g", value[0])
        _write(data, *value)
    elif kind == "a":
        _write_array(data, one[1:], value)
    else:
        _write_all(data, one[1:-1], value)


def _write_array(data: bytearray, element: str, values: Any) -> None:  # noqa: ANN401
    at = len(data)
    data += bytes(4)
    _pad(data, _alignment(element))
    begin = len(data)
    for value in values:
        _write(data, element, value)
    struct.pack_into("<I", data, at, len(data) - begin)


class _Reader:
    """Reads values one after another; `at` is where the next begins."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.at = data, order, 0

    def align(self, size: int) -> None:
        self.at += -self.at % size

    def read(self, one: str) -> Any:  # noqa: ANN401  (any type's value)
        kind = one[0]
        self.align(_alignment(one))
        if kind in _FIXED:
            return self._fixed(_FIXED[kind])
        if kind == "b":
            return bool(self._fixed("I"))
        if kind in "so":
            return self._text(self._fixed("I"))
        if kind == "g":
            return self._text(self._fixed("B"))
        if kind == "v":
            signature = self.read("g")
            return signature, self.read(signature)
        if kind == "a":
            return self._array(one[1:])
        return tuple(self.read(part) for part in split_signature(one[1:-1]))

    def _array(self, element: str) -> list[Any]:
        size = self._fixed("I")
        self.align(_alignment(element))
        end = self.at + size
        values = []
        while self.at < end:
            values.append(self.read(element))
        return values

    def _fixed(self, letter: str) -> Any:  # noqa: ANN401
        value = struct.unpack_from(self.order + letter, self.data, self.at)[0]
        self.at += struct.calcsize("=" + letter)
        return value

    def _text(self, size: int) -> str:
        text = self.data[self.at : self.at + size].decode()
        self.at += size + 1
        return text
