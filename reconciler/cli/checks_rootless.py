"""What `doctor` asks for an ordinary user, whose containers get a user namespace of their own.

Called by `checks`. A check has no effect that lasts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from reconciler.cli.checks import NAMESPACES, OK, WARN, Check, try_namespaces

_HOW_USERNS = (
    "allow user namespaces, as root, whichever this host has: sysctl -w "
    "user.max_user_namespaces=65536 kernel.unprivileged_userns_clone=1 "
    "kernel.apparmor_restrict_unprivileged_userns=0"
)


def check_user() -> Iterator[Check]:
    """Yield the answers that differ from root's: privileges, namespaces, ids."""
    yield Check("user", OK, f"uid {os.geteuid()}: containers get a user namespace of their own")
    userns = try_namespaces("user namespace", "user", ["NEWUSER"], _HOW_USERNS)
    yield userns
    if userns.status == OK:
        for kind, flag in NAMESPACES:
            how = "boot a kernel with this kind of namespace"
            yield try_namespaces(f"{kind} namespace", kind, ["NEWUSER", flag], how)
    yield from _subordinate_ids()


def _subordinate_ids() -> Iterator[Check]:
    from reconciler.engine.rootless import HELPERS, granted, has_helper

    for table, helper in HELPERS.items():
        name = os.path.basename(table)
        found = granted(table)
        if found is None:
            what = "none: a container has root, which is this user, and nobody else"
            kind = name.removeprefix("sub")
            how = f"as root: usermod --add-sub{kind}s 100000-165535 {_user_name()}"
            yield Check(name, WARN, what, how)
        elif not has_helper(helper):
            what = f"cannot be used: {helper} is missing"
            yield Check(name, WARN, what, "install the package uidmap")
        else:
            yield Check(name, OK, f"{found[1]} ids from {found[0]} on")


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
