"""The option words of a mount, as in an OCI config.json: flags, propagation, file system data.

Called by `listed_mounts`. A word that is none of ours is the file system's own. Pure.
Sources: runtime-spec config.md (Linux mount options), mount(8), mount_setattr(2).
"""

from __future__ import annotations

from reconciler.lean import NamedTuple
from reconciler.linux.mount import MountAttr, MountFlag

_A = MountAttr
# (bits, is set): of the mount itself; with an r in front of the whole tree.
_ATTRIBUTES: dict[str, tuple[int, bool]] = {
    "ro": (_A.RDONLY, True),
    "rw": (_A.RDONLY, False),
    "nosuid": (_A.NOSUID, True),
    "suid": (_A.NOSUID, False),
    "nodev": (_A.NODEV, True),
    "dev": (_A.NODEV, False),
    "noexec": (_A.NOEXEC, True),
    "exec": (_A.NOEXEC, False),
    "nodiratime": (_A.NODIRATIME, True),
    "diratime": (_A.NODIRATIME, False),
    "nosymfollow": (_A.NOSYMFOLLOW, True),
    "symfollow": (_A.NOSYMFOLLOW, False),
    "noatime": (_A.NOATIME, True),
    "atime": (_A.NOATIME, False),
    "strictatime": (_A.STRICTATIME, True),
    "nostrictatime": (_A.STRICTATIME, False),
    "relatime": (_A.NOATIME | _A.STRICTATIME, False),
    "norelatime": (_A(0), False),
}
_PROPAGATION = {
    "shared": MountFlag.SHARED,
    "slave": MountFlag.SLAVE,
    "private": MountFlag.PRIVATE,
    "unbindable": MountFlag.UNBINDABLE,
}
# Of the file system as a whole: fsconfig(2) takes them as flags.
_SUPERBLOCK = frozenset({"sync", "dirsync", "lazytime", "mand"})
# Without effect: defaults of the kernel, or what is for user space.
_IGNORED = frozenset(
    {"defaults", "async", "nolazytime", "nomand", "silent", "loud", "iversion", "noiversion"}
    | {
        "acl",
        "noacl",
        "auto",
        "noauto",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "_netdev",
        "nofail",
    }
)
_OWN = frozenset({"bind", "rbind", "tmpcopyup", "idmap", "ridmap"})


class MountOptions(NamedTuple):
    """What the words say: bits of MountAttr, propagation (bits of MountFlag), data words.

    `add` and `clear` are for the mount, `add_all` and `clear_all` for the tree below it too;
    `propagation_all` is recursive. `idmap` is None, `idmap` or `ridmap`.
    """

    add: int
    clear: int
    add_all: int
    clear_all: int
    propagation: int
    propagation_all: int
    data: tuple[str, ...]
    is_bind: bool
    is_recursive: bool
    copies_up: bool
    idmap: str | None

    @property
    def is_remount(self) -> bool:
        """Tell whether an existing mount is to be changed."""
        return "remount" in self.data


def parse_options(words: tuple[str, ...]) -> MountOptions:
    """Return what the words ask for; of contradicting ones the later wins."""
    bits = {False: [0, 0], True: [0, 0]}  # by "whole tree": [set, clear]
    propagation = {False: 0, True: 0}
    data: list[str] = []
    seen = set(words)
    for word in words:
        is_all = word not in _ATTRIBUTES and word not in _PROPAGATION and word.startswith("r")
        name = word.removeprefix("r") if is_all else word
        if name in _ATTRIBUTES:
            flag, is_set = _ATTRIBUTES[name]
            added, cleared = bits[is_all]
            added, cleared = (
                (added | flag, cleared & ~flag) if is_set else (added & ~flag, cleared | flag)
            )
            bits[is_all] = [int(added), int(cleared)]
        elif name in _PROPAGATION:
            propagation[is_all] |= int(_PROPAGATION[name])
        elif word in _SUPERBLOCK or word not in _IGNORED | _OWN:
            data.append(word)
    return MountOptions(
        add=bits[False][0],
        clear=bits[False][1],
        add_all=bits[True][0],
        clear_all=bits[True][1],
        propagation=propagation[False],
        propagation_all=propagation[True],
        data=tuple(data),
        is_bind=bool(seen & {"bind", "rbind"}),
        is_recursive="rbind" in seen,
        copies_up="tmpcopyup" in seen,
        idmap=next((word for word in ("ridmap", "idmap") if word in seen), None),
    )


ATTRIBUTE_WORDS = frozenset(_ATTRIBUTES)
"""Words for bits of a mount, which have a form with an r in front for a whole tree."""

PROPAGATION_WORDS = frozenset({*_PROPAGATION, *(f"r{word}" for word in _PROPAGATION)})

OPTION_WORDS = tuple(
    sorted(
        {
            *_ATTRIBUTES,
            *(f"r{word}" for word in _ATTRIBUTES),
            *_PROPAGATION,
            *(f"r{word}" for word in _PROPAGATION),
            *_SUPERBLOCK,
            *_IGNORED,
            *_OWN,
        }
    )
)
"""Every word that is known, for `features`."""
