"""`update`: other limits for a container, live."""

from __future__ import annotations

import json
import sys

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.model.quantity import parse_size
from reconciler.oci.bundle import read_json_object
from reconciler.oci.fields import Fields
from reconciler.oci.options import Values
from reconciler.oci.runtime import DISABLED, RESOURCES_NOTE, SCOPE_NOTE, Runtime, refuse
from reconciler.oci.translate_resources import translate_resources

# Option: where its value goes in linux.resources.
_PLACES = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-share": ("cpu", "shares"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-idle": ("cpu", "idle"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
_UNITS = {"k": "Ki", "m": "Mi", "g": "Gi", "t": "Ti"}
_IGNORED = ("kernel-memory", "kernel-memory-tcp")
_SIZES = ("memory", "memory-reservation", "memory-swap")
_CANNOT = ("l3-cache-schema", "mem-bw-schema")


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Change what is given, keep the rest. Raises: ConfigInvalid, LimitNotApplied, ..."""
    container = runtime.load(arguments[0])
    if runtime.status(container) == "stopped":
        why = "it is stopped"
        raise refuse(container.id, ErrorCode.ContainerNotRunning, "update the limits of", why)
    for name in _IGNORED:
        if options[name]:
            runtime.log.warning(f"--{name} is ignored: kernels no longer have this limit")
    changes = _read(options["resources"]) if options["resources"] else _from_options(options)
    former: dict[str, Any] = json.loads(container.annotations[RESOURCES_NOTE])
    merged = merge(former, changes)
    fields = Fields(merged, "resources")
    _check_before(container, merged)
    container.set(translate_resources(fields, has_cgroups=runtime.cgroup_manager != DISABLED))
    container.annotate({RESOURCES_NOTE: json.dumps(merged)})
    if scope := container.annotations.get(SCOPE_NOTE):
        from reconciler.oci.systemd_scope import tell_limits

        tell_limits(scope, container.record.cgroups["unified"])
    return 0


def _check_before(container: Container, resources: dict[str, Any]) -> None:
    """Keep `memory.checkBeforeUpdate`: a limit below what is in use is refused, not reclaimed.

    Source: runtime-spec config-linux.md, Memory. Raises: LimitNotApplied, ConfigInvalid.
    """
    memory = Fields(resources, "resources").child("memory")
    limit = memory.number("limit") or -1
    if not memory.flag("checkBeforeUpdate") or limit < 0:
        return
    used = container.stats().memory.usage_bytes
    if used > limit:
        why = f"it uses {used} bytes of memory, more than the limit {limit} (checkBeforeUpdate)"
        raise refuse(container.id, ErrorCode.LimitNotApplied, "update the limits of", why)


def merge(former: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return linux.resources with the fields of `changes` that are set: not null, 0 or empty.

    An `idle` of 0 is one: it is how that is taken back.
    """
    merged = dict(former)
    for name, value in changes.items():
        if isinstance(value, dict):
            own = former.get(name)
            merged[name] = merge(own if isinstance(own, dict) else {}, value)
        elif value or (name == "idle" and value is not None):
            merged[name] = value
    memory = changes.get("memory")
    if isinstance(memory, dict) and memory.get("limit") == -1 and not memory.get("swap"):
        merged["memory"]["swap"] = -1  # swap cannot be limited without memory
    return merged


def _read(path: str) -> dict[str, Any]:
    if path != "-":
        return read_json_object(path)
    try:
        data = json.load(sys.stdin)
    except ValueError as error:
        message = f"cannot read standard input: it is not JSON: {error}"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message) from error
    if not isinstance(data, dict):
        message = "cannot read standard input: it must hold an object"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message)
    return data


def _from_options(options: Values) -> dict[str, Any]:
    for name in _CANNOT:
        if options[name]:
            message = f"--{name}: cache and memory bandwidth allocation is not supported"
            raise ReconcilerError(ErrorCode.NotSupported, message)
    changes: dict[str, dict[str, Any]] = {}
    for name, (group, field) in _PLACES.items():
        value = options[name]
        if value not in (None, ""):
            changes.setdefault(group, {})[field] = _size(name, value) if name in _SIZES else value
    return changes


def _size(name: str, text: str) -> int:
    """Return bytes of a number with or without a unit, a power of 1024 as in runc: 512m, 50M, 1gb.

    Raises: Usage.
    """
    if text.lstrip("-").isdecimal():
        return int(text)
    number = text.lower().removesuffix("b").removesuffix("i")
    try:
        return parse_size(number[:-1] + _UNITS[number[-1:]])
    except (KeyError, ValueError) as error:
        message = f"--{name} is a number of bytes, or one with k, m, g or t, not {text!r}"
        raise ReconcilerError(ErrorCode.Usage, message) from error
