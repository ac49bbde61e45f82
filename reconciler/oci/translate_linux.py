"""The `linux` object of config.json but for namespaces and resources. Source: config-linux.md."""

from __future__ import annotations

from reconciler.lean import json
from reconciler.model.frozen import replace
from reconciler.model.isolation import Device, DeviceRule, Isolation, MemoryPolicy
from reconciler.oci.fields import Fields
from reconciler.oci.translate_mounts import translate_mappings

_CANNOT = {
    "intelRdt": "cache and memory bandwidth allocation (resctrl) is not supported; leave it out",
}
_DEVICE_TYPES = ("c", "b", "u", "p")
_RULE_TYPES = ("a", "c", "b")


def translate_linux(linux: Fields, isolation: Isolation) -> Isolation:
    """Return `isolation` with what the linux object says. Raises: ConfigInvalid, NotSupported."""
    for name, problem in _CANNOT.items():
        if linux.data.get(name):
            raise linux.unsupported(name, problem)
    seccomp = linux.child("seccomp").data
    return replace(
        isolation,
        uid_mappings=translate_mappings(linux, "uidMappings"),
        gid_mappings=translate_mappings(linux, "gidMappings"),
        time_offsets=_time_offsets(linux.child("timeOffsets")),
        rootfs_propagation=linux.text("rootfsPropagation") or None,
        seccomp=json.dumps(seccomp) if seccomp else None,
        personality=_personality(linux),
        memory_policy=_memory_policy(linux),
        mount_label=linux.text("mountLabel") or None,
        devices=_devices(linux),
        device_rules=_device_rules(linux.child("resources")),
        net_devices=_net_devices(linux.child("netDevices")),
        sysctl=linux.texts_by_name("sysctl"),
        masked_paths=_absolute_paths(linux, "maskedPaths"),
        readonly_paths=_absolute_paths(linux, "readonlyPaths"),
    )


def _absolute_paths(linux: Fields, name: str) -> tuple[str, ...]:
    paths = linux.texts(name)
    for index, path in enumerate(paths):
        if not path.startswith("/"):
            raise linux.invalid(f"{name}[{index}]", f"must be an absolute path, and is '{path}'")
    return paths


def _time_offsets(fields: Fields) -> dict[str, tuple[int, int]]:
    offsets = {}
    for name in fields.data:
        if name not in ("monotonic", "boottime"):
            raise fields.invalid(name, "is no clock with an offset: monotonic or boottime")
        one = fields.child(name)
        offsets[name] = (one.number("secs") or 0, one.natural("nanosecs") or 0)
    return offsets


def _personality(linux: Fields) -> str | None:
    if "personality" not in linux:
        return None
    fields = linux.child("personality")
    if fields.texts("flags"):
        raise fields.unsupported("flags", "there are none that are supported")
    return fields.required_text("domain")


def _net_devices(devices: Fields) -> dict[str, str]:
    """Return the name inside of each device. Source: config-linux.md, Network Devices."""
    names = {name: devices.child(name).text("name") or name for name in devices.data}
    for name, inside in names.items():
        for one in (name, inside):
            is_name = 0 < len(one.encode()) < 16 and one not in (".", "..", "lo")
            if not is_name or any(char in "/:" or char.isspace() for char in one):
                raise devices.invalid(name, f"has a name that none can have here: '{one}'")
    if len(set(names.values())) < len(names):
        raise devices.invalid("", "gives two devices one name")
    return names


def _memory_policy(linux: Fields) -> MemoryPolicy | None:
    fields = linux.child("memoryPolicy")
    if not fields.data:
        return None
    return MemoryPolicy(
        mode=fields.text("mode") or "",
        nodes=fields.text("nodes") or None,
        flags=fields.texts("flags"),
    )


def _devices(linux: Fields) -> tuple[Device, ...]:
    devices: dict[str, Device] = {}
    for one in linux.children("devices"):
        path, kind = one.absolute("path"), one.required_text("type")
        if kind not in _DEVICE_TYPES:
            raise one.invalid("type", f"must be c, b, u or p, and is '{kind}'")
        has_number = kind != "p"
        devices[path] = Device(
            path=path,
            type=kind,
            major=one.required_number("major") if has_number else 0,
            minor=one.required_number("minor") if has_number else 0,
            mode=(one.natural("fileMode") or 0o666) & 0o7777,
            uid=one.natural("uid") or 0,
            gid=one.natural("gid") or 0,
        )
    return tuple(devices.values())


def _device_rules(resources: Fields) -> tuple[DeviceRule, ...]:
    return tuple(_device_rule(one) for one in resources.children("devices"))


def _device_rule(fields: Fields) -> DeviceRule:
    kind, access = fields.text("type") or "a", fields.text("access") or "rwm"
    if kind not in _RULE_TYPES:
        raise fields.invalid("type", f"must be a, b or c, and is '{kind}'")
    if not set(access) <= set("rwm"):
        raise fields.invalid("access", f"must be of the letters r, w and m, and is '{access}'")
    major, minor = fields.number("major"), fields.number("minor")
    return DeviceRule(
        allow=fields.flag("allow"),
        type=kind,
        major=None if major in (None, -1) else major,
        minor=None if minor in (None, -1) else minor,
        access=access,
    )
