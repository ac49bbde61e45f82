"""Env files: lines of `NAME=VALUE`, as systemd's EnvironmentFile= and docker's --env-file.

Called by `parse` and `look`. Nothing is expanded, neither by a shell nor by us:

    # a comment, as is a line that begins with ;
    PLAIN=anything to the end of the line # this too
    SINGLE='kept as it is, \\n and all'
    DOUBLE="\\" \\\\ \\$ and \\` lose their backslash"

Later lines win. Pure functions.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.errors.codes import ErrorCode
from reconciler.loader.document import DocumentError, decode_text

_NAME = re.compile(r"[^\s=\"'#;]+")
_ESCAPE = re.compile(r'\\(["\\$`])')
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"'),
    "'": re.compile(r"'([^']*)'"),
}


class Variable(NamedTuple):
    """A value and the line (1-based) that gives it."""

    value: str
    line: int


def parse_env(data: bytes) -> dict[str, Variable]:
    """Return the variables of an env file's content.

    Raises: DocumentError (SpecSyntax) at the first line that is not understood.
    """
    variables: dict[str, Variable] = {}
    for number, line in enumerate(decode_text(data).split("\n"), 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        name = name.rstrip()
        if not equals or not _NAME.fullmatch(name):
            # What stands there is not shown: it may be a secret.
            raise DocumentError(ErrorCode.SpecSyntax, "the line is not NAME=VALUE", number, 1)
        variables[name] = Variable(_unquote(value.strip(), number), number)
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

