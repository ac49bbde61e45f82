"""What the error codes about other users' doings mean; see `engine_texts`."""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode
from reconciler.errors.engine_texts import Row

ROWS: tuple[Row, ...] = (
    (
        ErrorCode.UnsafePath,
        (
            "Another user could put files into the run or state directory, or exchange it: what "
            "stands there is believed, and started with your rights. Nothing was read or changed."
        ),
        (
            "it was made by another user, or lies in a directory of theirs",
            "it is a link of theirs, or everyone can write to it or to a directory above it",
            "as root: it is below the home of an ordinary user",
        ),
        (
            "look at the whole path: `namei -l DIR`",
            "choose a directory of your own: `--run-dir /run/NAME --state-dir /var/lib/NAME`",
            "or, when you know what is in it: `chown root DIR && chmod 755 DIR`",
        ),
    ),
)
