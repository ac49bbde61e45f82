"""Users and groups by name, looked up in the container's own /etc, never through a symlink out.

Source: passwd(5), group(5).
"""

from __future__ import annotations

import os
import stat

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import NamedTuple
from reconciler.linux.mount import open_in_root

_FILE_MAX = 4 * 2**20
# The one above is -1, which setresuid(2) takes for "no change": root would stay root.
_ID_MAX = 2**32 - 2


class Identity(NamedTuple):
    """Who the init is: ids, supplementary group ids, and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def look_up_user(root: str, user: str, extra_groups: tuple[str, ...]) -> Identity:
    """Resolve `UID`, `UID:GID`, `name` or `name:group` in the root file system at `root`.

    A number needs no entry; without one and without a group, the group is the same number.
    A name brings the supplementary groups that /etc/group gives it. A row whose id is none counts
    as not there.

    Raises: UserNotFound.
    """
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rows = _read_table(root_fd, "/etc/passwd", 7)
        passwd = [row for row in rows if is_id(row[3]) and "\0" not in row[5]]
        groups = _read_table(root_fd, "/etc/group", 4)
    finally:
        os.close(root_fd)
    name, _, group = user.partition(":")
    column = 2 if is_id(name) else 0  # a number is never a name (CVE-2016-3697)
    entry = next((row for row in passwd if row[column] == name), None)
    if entry is None and column == 0:
        raise _not_found("user", name, root, "/etc/passwd")
    uid = int(entry[2]) if entry else int(name)
    own_gid = int(entry[3]) if entry else uid
    gid = _look_up_group(groups, group, root) if group else own_gid
    supplementary = {_look_up_group(groups, extra, root) for extra in extra_groups}
    if entry is not None and column == 0:
        supplementary |= {gid, *(int(row[2]) for row in groups if name in row[3].split(","))}
    return Identity(uid, gid, tuple(sorted(supplementary)), entry[5] if entry else "/")


def _look_up_group(groups: list[list[str]], text: str, root: str) -> int:
    if is_id(text):
        return int(text)
    for row in groups:
        if row[0] == text:
            return int(row[2])
    raise _not_found("group", text, root, "/etc/group")


def _read_table(root_fd: int, path: str, columns: int) -> list[list[str]]:
    """Return the well-formed rows of a passwd-like file; none when there is no such file."""
    try:
        place = open_in_root(root_fd, path, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                return []  # to open a device is to do something
            fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)
    except OSError:
        return []  # then only numbers can be used, and a name says that it was not found
    with os.fdopen(fd, errors="replace") as file:
        text = file.read(_FILE_MAX)
    rows = (line.split(":", columns) for line in text.splitlines())
    return [r for r in rows if len(r) == columns and is_id(r[2])]


def is_id(text: str) -> bool:
    """Tell whether a text is the number of a user or group."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_ID_MAX))
    return is_number and int(text) <= _ID_MAX


def _not_found(what: str, name: str, root: str, file: str) -> ReconcilerError:
    if name.isdecimal():
        message = f"{name[:40]!r} is no id of a {what}: those are 0 to {_ID_MAX}"
        return ReconcilerError(ErrorCode.UserNotFound, message, field="user")
    return ReconcilerError(
        ErrorCode.UserNotFound,
        f"{what} {name!r} is not in {file} of the root file system {root}; add it or use a number",
        path=os.path.join(root, file.lstrip("/")),
        field="user",
    )
