"""The `linux.resources` object of config.json, which is also what `update --resources` reads.

Called by `translate` and by the verb `update`. THE place for a limit that the model learns:
take its name out of `_CANNOT` and give it to the field. Source: config-linux.md, Control groups.
"""

from __future__ import annotations

from reconciler.model.config import (
    CpuLimits,
    IoDeviceLimits,
    IoLimits,
    MemoryLimits,
    PidsLimits,
    Resources,
)
from reconciler.oci.fields import Fields

_CANNOT = {
    "": ("hugepageLimits", "network", "rdma", "unified"),
    "memory": ("reservation", "kernel", "kernelTCP", "swappiness", "disableOOMKiller"),
    "cpu": ("burst", "realtimeRuntime", "realtimePeriod", "idle"),
    "blockIO": ("leafWeight", "weightDevice"),
}
_THROTTLES = {
    "throttleReadBpsDevice": "read_bytes",
    "throttleWriteBpsDevice": "write_bytes",
    "throttleReadIOPSDevice": "read_ops",
    "throttleWriteIOPSDevice": "write_ops",
}


def translate_resources(resources: Fields, *, has_cgroups: bool) -> Resources:
    """Return the limits. Raises: ConfigInvalid, NotSupported."""
    for group, names in _CANNOT.items():
        fields = resources.child(group) if group else resources
        for name in names:
            if fields.data.get(name):
                raise fields.unsupported(name, "this limit is not supported; leave it out")
    limits = Resources(
        memory=_memory(resources.child("memory")),
        cpu=_cpu(resources.child("cpu")),
        pids=PidsLimits(max=_limit(resources.child("pids"), "limit")),
        io=_io(resources.child("blockIO")),
    )
    if limits != Resources() and not has_cgroups:
        raise resources.unsupported(
            "", "limits need a cgroup: leave them out or use another --cgroup-manager"
        )
    return limits


def _limit(fields: Fields, name: str) -> int | None:
    """Return a limit; None for unlimited, which is said by -1 or by 0 (as runc has it)."""
    value = fields.number(name)
    return None if value is None or value <= 0 else value


def _memory(fields: Fields) -> MemoryLimits:
    limit, both = _limit(fields, "limit"), _limit(fields, "swap")
    if both is None:
        return MemoryLimits(max_bytes=limit)
    if limit is None:
        raise fields.invalid("swap", "is memory and swap together: it needs memory.limit too")
    if both < limit:
        raise fields.invalid("swap", f"is memory and swap together: at least limit, {limit}")
    return MemoryLimits(max_bytes=limit, swap_bytes=both - limit)


def _cpu(fields: Fields) -> CpuLimits:
    quota_us, period_us = _limit(fields, "quota"), fields.natural("period") or 100_000
    shares = fields.natural("shares")
    return CpuLimits(
        max_milli=None if quota_us is None else max(1, round(quota_us * 1000 / period_us)),
        weight=weight_of_shares(shares) if shares else None,
        cpus=fields.text("cpus") or None,
        mems=fields.text("mems") or None,
    )


def weight_of_shares(shares: int) -> int:
    """Return the weight of cgroup v2 for shares, by runc's and crun's linear mapping."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def _io(fields: Fields) -> IoLimits:
    devices: dict[str, dict[str, int]] = {}
    for theirs, ours in _THROTTLES.items():
        for one in fields.children(theirs):
            number = f"{one.required_number('major')}:{one.required_number('minor')}"
            devices.setdefault(number, {})[ours] = one.required_number("rate")
    weight = fields.natural("weight")
    return IoLimits(
        weight=weight or None,
        max=tuple(IoDeviceLimits(device=name, **rates) for name, rates in devices.items()),
    )
