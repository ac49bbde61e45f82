"""The `hooks` object of config.json. Source: runtime-spec config.md, POSIX-platform Hooks."""

from __future__ import annotations

from reconciler.model.isolation import Hook, Hooks
from reconciler.oci.fields import Fields

_KINDS = {
    "prestart": "prestart",
    "createRuntime": "create_runtime",
    "createContainer": "create_container",
    "startContainer": "start_container",
    "poststart": "poststart",
    "poststop": "poststop",
}


def translate_hooks(fields: Fields) -> Hooks:
    """Return the hooks. Raises: ConfigInvalid."""
    return Hooks(
        **{ours: tuple(map(_hook, fields.children(theirs))) for theirs, ours in _KINDS.items()}
    )


def _hook(fields: Fields) -> Hook:
    timeout_s = fields.number("timeout")
    if timeout_s is not None and timeout_s <= 0:
        raise fields.invalid("timeout", f"must be more than 0 seconds, and is {timeout_s}")
    return Hook(
        path=fields.absolute("path"),
        args=fields.texts("args"),
        env=fields.texts("env"),
        timeout_s=timeout_s,
    )
