"""Rules of hooks and devices, which the schema cannot say.

Called by `rules` with a document's data. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.findings import Finding, Path
from reconciler.model.quantity import parse_duration


def check_hooks(data: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `hooks`, `devices` and `netDevices`."""
    for kind, hooks in data.get("hooks", {}).items():
        for index, hook in enumerate(hooks):
            yield from _check_hook(hook, kind, ("hooks", kind, index))
    for index, device in enumerate(data.get("devices", ())):
        if device is not None:  # else it was refused before
            yield from _check_device(device, ("devices", index))
    devices = data.get("netDevices", {})
    if devices and data.get("network") == "host":
        message = "they need a network of the container's own; leave out 'network: host'"
        yield _finding(("netDevices",), message)
    seen: dict[str, str] = {}
    for name, inside in devices.items():
        if inside in seen:
            message = f"'{inside}' is the name of {seen[inside]} inside already"
            yield _finding(("netDevices", name), message)
        seen.setdefault(inside, name)


def _check_hook(hook: dict[str, Any], kind: str, path: Path) -> Iterator[Finding]:
    program = hook["command"][0]
    if "/" not in program:
        message = f"'{program}' is not looked up anywhere: write its path, as /usr/bin/{program}"
        yield _finding((*path, "command", 0), message)
    elif kind == "startContainer" and not program.startswith("/"):
        message = f"'{program}' is a path inside the container, and must begin with '/'"
        yield _finding((*path, "command", 0), message)
    if "timeout" in hook and parse_duration(hook["timeout"]) == 0:
        yield _finding((*path, "timeout"), "must be more than 0; the default is 30s")


def _check_device(device: dict[str, Any], path: Path) -> Iterator[Finding]:
    given = [name for name in ("type", "major", "minor") if name in device]
    if given and len(given) < 3:
        missing = next(name for name in ("type", "major", "minor") if name not in device)
        message = f"the field '{missing}' is missing: type, major and minor go together; without"
        yield _finding((*path, missing), f"{message} them it is the host's {device['path']}")


def _finding(path: Path, message: str) -> Finding:
    return Finding(ErrorCode.SpecValue, path, message)
