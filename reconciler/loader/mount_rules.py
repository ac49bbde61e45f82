"""Rules of mounts: which fields and options each type has, and what contradicts itself.

Called by `rules` with a document's data. Pure functions. Sources: mount(8), tmpfs(5), proc(5), the
kernel's filesystems/overlayfs.rst and devpts.rst.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.engine.mount_options import ATTRIBUTE_WORDS, PROPAGATION_WORDS
from reconciler.errors.codes import ErrorCode
from reconciler.loader.findings import Finding, Path

_CONTRADICTIONS = (
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("atime", "noatime"),
    ("noatime", "relatime"),
    ("noatime", "strictatime"),
    ("relatime", "strictatime"),
    ("diratime", "nodiratime"),
    ("symfollow", "nosymfollow"),
)
_OTHERS = (("bind", "rbind"), ("idmap", "ridmap"), ("private", "shared"), ("private", "slave"))
# Of the whole file system, by mount(8); those of single types follow.
_OF_ALL = ("sync", "dirsync", "lazytime")
_OF_BIND = ("bind", "rbind", "idmap", "ridmap")
_DATA: dict[str, tuple[str, ...]] = {
    "tmpfs": (
        *("tmpcopyup", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "mpol"),
        *("noswap", "inode32", "inode64"),
    ),
    "overlay": (
        *("userxattr", "index", "metacopy", "redirect_dir", "xino", "volatile", "uuid"),
        *("nfs_export",),
    ),
    "proc": ("hidepid", "gid", "subset"),
    "devpts": ("newinstance", "ptmxmode", "mode", "uid", "gid", "max"),
    "cgroup": ("nsdelegate", "memory_localevents", "memory_recursiveprot"),
}
_LABELS = ("z", "Z")
_MEANT = {"readonly": "ro", "read-only": "ro", "writable": "rw", "U": "idmap", "recursive": "rbind"}
_FIELDS = {
    "bind": ("source", "onChange", "uidMappings", "gidMappings"),
    "tmpfs": ("size", "mode"),
    "overlay": ("lower", "upper", "work"),
}
_NEEDED = {
    "bind": ("source", "a bind mount needs it"),
    "overlay": ("lower", "an overlay needs it, as [./base]"),
}


def check_mount(mount: dict[str, Any], path: Path, *, is_mapped: bool) -> Iterator[Finding]:
    """Yield what is wrong with one mount. `is_mapped`: there is a user namespace of its own."""
    options = mount.get("options", ())
    yield from _check_fields(mount, path)
    yield from _check_options(mount["type"], options, (*path, "options"))
    yield from _check_contradictions(options, (*path, "options"))
    if mount["type"] == "overlay":
        yield from _check_layers(mount, path)
    yield from _check_ids(mount, path, is_mapped=is_mapped)


def _check_fields(mount: dict[str, Any], path: Path) -> Iterator[Finding]:
    kind = mount["type"]
    allowed = _FIELDS.get(kind, ())
    for name, value in mount.items():
        if name not in ("type", "target", "options", *allowed) and value != []:
            yield _finding((*path, name), _no_field(kind, name))
    if kind in _NEEDED and not mount.get(_NEEDED[kind][0]):
        name, why = _NEEDED[kind]
        yield _finding((*path, name), f"the field '{name}' is missing: {why}")


def _no_field(kind: str, name: str) -> str:
    if kind == "tmpfs" and name == "source":
        return "a tmpfs has no source; remove it, or use type: bind"
    if name == "onChange":
        return f"a mount of type {kind} has no source that could change"
    owners = " and ".join(owner for owner, fields in _FIELDS.items() if name in fields)
    article = "an" if kind == "overlay" else "a"
    what = f"{article} {kind}" if kind in ("overlay", "tmpfs") else f"a {kind} mount"
    return f"{what} has no '{name}'; it is for {owners}"


def _check_options(kind: str, options: Sequence[str], path: Path) -> Iterator[Finding]:
    common = {*ATTRIBUTE_WORDS, *(f"r{one}" for one in ATTRIBUTE_WORDS), *PROPAGATION_WORDS}
    words = {*common, *(_OF_BIND if kind == "bind" else (*_OF_ALL, *_DATA.get(kind, ())))}
    seen: set[str] = set()
    for index, option in enumerate(options):
        name = option.partition("=")[0]
        if option in seen:
            yield _finding((*path, index), f"'{option}' is given twice")
        seen.add(option)
        if name in words and (name == option or name in _DATA.get(kind, ())):
            continue
        if name in _OF_BIND:
            what = "a tmpfs" if kind == "tmpfs" else f"a mount of type {kind}"
            yield _finding((*path, index), f"the option '{name}' is not for {what}")
        else:
            yield _finding((*path, index), _unknown(option, kind, words))


def _unknown(option: str, kind: str, words: set[str]) -> str:
    name = option.partition("=")[0]
    if name in ("lowerdir", "upperdir", "workdir"):
        field = name.removesuffix("dir")
        return f"write it as a field, '{field}: ...', beside 'type: overlay'"
    if "," in option:
        return f"{option!r:.80} is several options: write each as an item of the list"
    if option in _LABELS:
        return f"'{option}' would give files another label of SELinux: do that on the host"
    if option in _MEANT:
        return f"{option!r:.80} is no option of a mount; write '{_MEANT[option]}'"
    close = difflib.get_close_matches(name, words, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{option!r:.80} is no option of a mount of type {kind}{hint}"


def _check_contradictions(options: Sequence[str], path: Path) -> Iterator[Finding]:
    pairs = [*_CONTRADICTIONS, *_OTHERS]
    pairs += [(f"r{one}", f"r{other}") for one, other in _CONTRADICTIONS]
    pairs += [("unbindable", other) for other in ("shared", "slave", "private")]
    for first, second in pairs:
        if first in options and second in options:
            where = (*path, max(options.index(first), options.index(second)))
            message = f"the options '{first}' and '{second}' contradict each other"
            yield _finding(where, message)


def _check_layers(mount: dict[str, Any], path: Path) -> Iterator[Finding]:
    if ("upper" in mount) != ("work" in mount):
        missing = "work" if "upper" in mount else "upper"
        message = f"the field '{missing}' is missing: an upper layer needs both, on one file system"
        yield _finding((*path, missing), message)
    elif "upper" not in mount and len(mount.get("lower", ())) == 1:
        message = "one layer alone is no overlay; use type: bind with ro, or add upper and work"
        yield _finding((*path, "lower"), message)


def _check_ids(mount: dict[str, Any], path: Path, *, is_mapped: bool) -> Iterator[Finding]:
    given = [name for name in ("uidMappings", "gidMappings") if mount.get(name)]
    options = mount.get("options", ())
    if len(given) == 1:
        missing = "gidMappings" if given == ["uidMappings"] else "uidMappings"
        message = f"the field '{missing}' is missing: users and groups are mapped together"
        yield _finding((*path, missing), message)
    elif not given and not is_mapped and {"idmap", "ridmap"} & set(options):
        message = "the field is missing: idmap needs uidMappings and gidMappings, of the mount or "
        message += "of the container's own user namespace"
        yield _finding((*path, "uidMappings"), message)


def _finding(path: Path, message: str) -> Finding:
    return Finding(ErrorCode.SpecValue, path, message)
