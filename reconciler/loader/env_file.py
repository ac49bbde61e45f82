"""Env files: lines of `NAME=VALUE`, as systemd's EnvironmentFile= and docker's --env-file.

Called by `parse`. Nothing is expanded, neither by a shell nor by us:

    # a comment, as is a line that begins with ;
    PLAIN=anything to the end of the line # this too
    SINGLE='kept as it is, \\n and all'
    DOUBLE="\\" \\\\ \\$ and \\` lose their backslash"

Later lines win.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from reconciler.errors.codes import ErrorCode
from reconciler.loader.document import DocumentError, decode_text
from reconciler.loader.sources import FileTrouble
from reconciler.model.text import printable

_NAME = re.compile(r"[^\s=\"'#;]+")
_ESCAPE = re.compile(r'\\(["\\$`])')
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"'),
    "'": re.compile(r"'([^']*)'"),
}


class EnvValue(NamedTuple):
    """A variable's value and where it stands."""

    text: str
    file: str
    line: int


def read_env(
    file: str, read: Callable[[str], bytes | None], *, is_optional: bool
) -> dict[str, EnvValue]:
    """Return the variables of an env file; none if it is optional and missing or empty.

    An empty file that is required is one that is being written: a comment makes it whole.

    Raises: FileTrouble; DocumentError (SpecSyntax) at the first line that is not understood.
    """
    try:
        data = read(file)
    except FileTrouble as trouble:
        message = trouble.message.replace("cannot read file", f"cannot read {printable(file)}")
        raise FileTrouble(trouble.code, message) from None
    if not data and not is_optional:
        cause = "it does not exist" if data is None else "it is empty"
        message = f"cannot read {printable(file)}: {cause}; '-' before the path makes it optional"
        raise FileTrouble(ErrorCode.SpecValue, message)
    return parse_env(file, data or b"")


def parse_env(file: str, data: bytes) -> dict[str, EnvValue]:
    """Return the variables of an env file with the content `data`.

    Raises: DocumentError (SpecSyntax) at the first line that is not understood.
    """
    variables: dict[str, EnvValue] = {}
    for number, line in enumerate(decode_text(data).split("\n"), 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        name = name.rstrip()
        if not equals or not _NAME.fullmatch(name):
            # What stands there is not shown: it may be a secret.
            raise DocumentError(ErrorCode.SpecSyntax, "the line is not NAME=VALUE", number, 1)
        variables[name] = EnvValue(_unquote(value.strip(), number), file, number)
    return variables


def _unquote(value: str, line: int) -> str:
    pattern = _QUOTED.get(value[:1])
    if pattern is None:
        return value
    match = pattern.fullmatch(value)
    if match is None:
        message = f"the value begins with {value[0]} and does not end with it"
        raise DocumentError(ErrorCode.SpecSyntax, message, line, 1)
    return _ESCAPE.sub(r"\1", match[1]) if value[0] == '"' else match[1]
