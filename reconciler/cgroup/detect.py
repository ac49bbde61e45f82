"""Finds out which cgroup hierarchies there are and where the caller is in them.

Called by `choose`. Reads /proc/self/mountinfo and /proc/self/cgroup (both can be given as
text, so that samples of other hosts can be tested); writes nothing. Sources: proc(5),
cgroups(7), cgroup_namespaces(7).
"""

from __future__ import annotations

from reconciler.cgroup import files
from reconciler.lean import NamedTuple, StrEnum, pattern
from reconciler.model.frozen import field, frozen

_OCTAL = pattern(r"\\([0-7]{3})")


class Mode(StrEnum):
    """v1: no cgroup2 mount; hybrid: v1 controllers and a cgroup2 mount; v2: cgroup2 alone."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@frozen
class Hierarchy:
    """One mounted hierarchy.

    `own` is the absolute directory of the caller's cgroup, None when the mount does not show
    it (a bind mount of another part of the tree).
    """

    controllers: tuple[str, ...]
    mount_point: str
    own: str | None


@frozen
class Hierarchies:
    """All hierarchies: v1 by controller (co-mounted ones share theirs), and the unified one.

    `named` are those of v1 without controllers, by such as `name=systemd`.
    """

    mode: Mode
    v1: dict[str, Hierarchy] = field(default_factory=dict)
    unified: Hierarchy | None = None
    named: dict[str, Hierarchy] = field(default_factory=dict)


class _Mount(NamedTuple):
    root: str
    point: str
    kind: str
    options: tuple[str, ...]


def detect(
    mountinfo: str | None = None, self_cgroup: str | None = None, mount_root: str = ""
) -> Hierarchies:
    """Return the hierarchies of this host as the calling process sees them.

    `mount_root` goes before every mount point (a sample tree in a test).

    Raises: OSError with the path.
    """
    if mountinfo is None:
        mountinfo = files.read_text("/proc/self/mountinfo")
    if self_cgroup is None:
        self_cgroup = files.read_text("/proc/self/cgroup")
    own_paths = _parse_own_paths(self_cgroup)
    v1: dict[str, Hierarchy] = {}
    named: dict[str, Hierarchy] = {}
    unified: Hierarchy | None = None
    for mount in filter(None, map(_parse_mount, mountinfo.splitlines())):
        if mount.kind == "cgroup2":
            controllers = _read_controllers(mount_root + mount.point)
            found = _hierarchy(mount, controllers, own_paths.get(""), mount_root)
            unified = _better(unified, found)
            continue
        controllers = tuple(name for name in mount.options if name in own_paths)
        for name in controllers:
            found = _hierarchy(mount, controllers, own_paths[name], mount_root)
            known = named if name.startswith("name=") else v1
            known[name] = _better(known.get(name), found)
    return Hierarchies(mode=_mode(v1, unified), v1=v1, unified=unified, named=named)


def _mode(v1: dict[str, Hierarchy], unified: Hierarchy | None) -> Mode:
    if unified is None:
        return Mode.V1
    return Mode.HYBRID if v1 else Mode.V2


def _better(known: Hierarchy | None, found: Hierarchy) -> Hierarchy:
    """Return the first mount that shows the caller's own cgroup, else the first."""
    if known is None or (known.own is None and found.own is not None):
        return found
    return known


def _hierarchy(
    mount: _Mount, controllers: tuple[str, ...], own_path: str | None, mount_root: str
) -> Hierarchy:
    point = mount_root + mount.point
    relative = None if own_path is None else _below(own_path, mount.root)
    own = None if relative is None else (point + relative).rstrip("/") or "/"
    return Hierarchy(controllers=controllers, mount_point=point, own=own)


def _below(path: str, root: str) -> str | None:
    """Return `path` relative to `root` ('' or '/...'); None when it is not below."""
    root = root.rstrip("/")
    if "/.." in path or not (path.rstrip("/") + "/").startswith(root + "/"):
        return None
    return path.rstrip("/")[len(root) :]


def _parse_own_paths(text: str) -> dict[str, str]:
    """Return the caller's path by v1 controller or name; in the unified hierarchy under ''."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _parse_mount(line: str) -> _Mount | None:
    """Return a cgroup mount of a mountinfo line (proc(5)), None for any other."""
    before, dash, after = line.partition(" - ")
    if not dash or not after.startswith("cgroup"):
        return None
    left, right = before.split(), after.split()
    if right[0] not in ("cgroup", "cgroup2"):
        return None
    return _Mount(_unescape(left[3]), _unescape(left[4]), right[0], tuple(right[2].split(",")))


def _unescape(text: str) -> str:
    return text if "\\" not in text else _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _read_controllers(mount_point: str) -> tuple[str, ...]:
    return tuple((files.read_optional(f"{mount_point}/cgroup.controllers") or "").split())
