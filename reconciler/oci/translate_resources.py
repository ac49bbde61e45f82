"""The `linux.resources` object of config.json, which is also what `update --resources` reads.

Called by `translate` and by the verb `update`. Device rules are `translate_linux`'s.
Source: runtime-spec config-linux.md, Control groups.
"""

from __future__ import annotations

from reconciler.model.config import (
    CpuLimits,
    HugetlbLimit,
    IoDeviceLimits,
    IoDeviceWeight,
    IoLimits,
    MemoryLimits,
    NetClass,
    PidsLimits,
    RdmaLimit,
    Resources,
)
from reconciler.oci.fields import Fields

# Gone from the kernel, or never of use: 0 and false are not asking for it.
_CANNOT = {"blockIO": ("leafWeight",)}
# Not recommended by the specification since 1.0.2, and ignored by every runtime.
_IGNORED = {"memory": ("kernel", "kernelTCP")}
_THROTTLES = {
    "throttleReadBpsDevice": "read_bytes",
    "throttleWriteBpsDevice": "write_bytes",
    "throttleReadIOPSDevice": "read_ops",
    "throttleWriteIOPSDevice": "write_ops",
}
# What the kernel takes (sched-bwc.rst); it answers with a bare EINVAL.
_LEAST_US, _LONGEST_PERIOD_US = 1_000, 1_000_000
_PAGE_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}


def translate_resources(resources: Fields, *, has_cgroups: bool) -> Resources:
    """Return the limits. Raises: ConfigInvalid, NotSupported."""
    for group, names in _CANNOT.items():
        fields = resources.child(group)
        for name in names:
            if fields.data.get(name) not in (None, 0, -1):
                raise fields.unsupported(name, "kernels no longer have this limit; leave it out")
    limits = Resources(
        memory=_memory(resources.child("memory")),
        cpu=_cpu(resources.child("cpu")),
        pids=PidsLimits(max=_limit(resources.child("pids"), "limit")),
        io=_io(resources.child("blockIO")),
        hugetlb=tuple(_hugetlb(one) for one in resources.children("hugepageLimits")),
        unified=tuple(resources.texts_by_name("unified").items()),
        rdma=_rdma(resources.child("rdma")),
        net=_net(resources.child("network")),
    )
    if limits != Resources() and not has_cgroups:
        raise resources.unsupported(
            "", "limits need a cgroup: leave them out or use another --cgroup-manager"
        )
    return limits


def ignored_limits(resources: Fields) -> list[str]:
    """Return the paths of limits that are given and that no kernel has any more."""
    groups = ((resources.child(group), names) for group, names in _IGNORED.items())
    return [
        fields.where(name)
        for fields, names in groups
        for name in names
        if fields.data.get(name) not in (None, 0, -1)
    ]


def _limit(fields: Fields, name: str) -> int | None:
    """Return a limit; None for unlimited, which is said by -1 or by 0 (as runc has it)."""
    value = fields.number(name)
    return None if value is None or value <= 0 else value


def _memory(fields: Fields) -> MemoryLimits:
    limit, both = _limit(fields, "limit"), _limit(fields, "swap")
    swap = None
    if both is not None:
        if limit is None:
            raise fields.invalid("swap", "is memory and swap together: it needs memory.limit too")
        if both < limit:
            raise fields.invalid("swap", f"is memory and swap together: at least limit, {limit}")
        swap = both - limit
    return MemoryLimits(
        max_bytes=limit,
        swap_bytes=swap,
        reservation_bytes=_limit(fields, "reservation"),
        swappiness=_swappiness(fields),
        disable_oom_killer=fields.flag("disableOOMKiller"),
    )


def _swappiness(fields: Fields) -> int | None:
    value = fields.natural("swappiness")
    if value is not None and value > 100:
        raise fields.invalid("swappiness", f"must be 0 to 100, and is {value}")
    return value


def _cpu(fields: Fields) -> CpuLimits:
    burst_us, idle = fields.natural("burst"), fields.number("idle") or 0
    if idle not in (0, 1):
        raise fields.invalid("idle", f"must be 0 or 1, and is {idle}")
    quota_us, period_us = _limit(fields, "quota"), fields.natural("period") or None
    if quota_us is not None and quota_us < _LEAST_US:
        least = f"{_LEAST_US} microseconds"
        raise fields.invalid("quota", f"must be at least {least}, and is {quota_us}")
    if period_us is not None and not _LEAST_US <= period_us <= _LONGEST_PERIOD_US:
        span = f"{_LEAST_US} to {_LONGEST_PERIOD_US} microseconds"
        raise fields.invalid("period", f"must be {span}, and is {period_us}")
    return CpuLimits(
        quota_us=quota_us,
        period_us=period_us,
        burst_ns=burst_us * 1000 if burst_us else None,
        shares=fields.natural("shares") or None,
        idle=bool(idle),
        realtime_runtime_us=_limit(fields, "realtimeRuntime"),
        realtime_period_us=fields.natural("realtimePeriod") or None,
        cpus=fields.text("cpus") or None,
        mems=fields.text("mems") or None,
    )


def _io(fields: Fields) -> IoLimits:
    devices: dict[str, dict[str, int]] = {}
    for theirs, ours in _THROTTLES.items():
        for one in fields.children(theirs):
            devices.setdefault(_device(one), {})[ours] = one.required_number("rate")
    return IoLimits(
        blkio_weight=fields.natural("weight") or None,
        blkio_weights=tuple(_io_weight(one) for one in fields.children("weightDevice")),
        max=tuple(IoDeviceLimits(device=name, **rates) for name, rates in devices.items()),
    )


def _io_weight(fields: Fields) -> IoDeviceWeight:
    if fields.number("leafWeight"):
        raise fields.unsupported("leafWeight", "kernels no longer have this limit; leave it out")
    return IoDeviceWeight(device=_device(fields), weight=fields.required_number("weight"))


def _device(fields: Fields) -> str:
    return f"{fields.required_number('major')}:{fields.required_number('minor')}"


def _hugetlb(fields: Fields) -> HugetlbLimit:
    size = fields.required_text("pageSize")
    number, unit = size[:-2], size[-2:]
    if not number.isdecimal() or unit not in _PAGE_UNITS:
        raise fields.invalid("pageSize", f"must be a size such as 2MB, and is '{size}'")
    return HugetlbLimit(
        page_size_bytes=int(number) * _PAGE_UNITS[unit], max_bytes=fields.required_number("limit")
    )


def _rdma(fields: Fields) -> tuple[RdmaLimit, ...]:
    children = {name: fields.child(name) for name in fields.data}
    for name, one in children.items():
        if "hcaHandles" not in one and "hcaObjects" not in one:
            raise fields.invalid(name, "needs hcaHandles or hcaObjects")
    return tuple(
        RdmaLimit(
            device=name,
            hca_handles=one.natural("hcaHandles"),
            hca_objects=one.natural("hcaObjects"),
        )
        for name, one in children.items()
    )


def _net(fields: Fields) -> NetClass:
    priorities = tuple(
        (one.required_text("name"), one.required_number("priority"))
        for one in fields.children("priorities")
    )
    return NetClass(class_id=fields.natural("classID"), priorities=priorities)
