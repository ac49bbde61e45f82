"""What a Config asks of the host's machine and kernel beyond limits, and this host has not.

Called by the Engine before a start, and by `unenforceable`: CPUs, NUMA nodes, time namespaces,
scheduling before others, kernel parameters. Sources: sched(7), sched_setattr(2), ioprio_set(2),
time_namespaces(7), sysctl(5).
"""

from __future__ import annotations

import os

from reconciler.cgroup.canonical import Unsupported
from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine.namespaces import dotted_name, mode_of, owner_of
from reconciler.engine.setup_process import numbers_of
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Callable, Iterator
from reconciler.linux.proc import read_file
from reconciler.model.config import Config
from reconciler.model.isolation import Hooks, NamespaceMode

_ONLINE_CPUS = "/sys/devices/system/cpu/online"
_ONLINE_NODES = "/sys/devices/system/node/online"
_TIME = "/proc/self/ns/time"
_CAP_SYS_ADMIN, _CAP_SYS_NICE = 21, 23
_REALTIME = ("SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE")


def check_host(config: Config, driver: CgroupDriver, starter: Callable[[], int]) -> None:
    """Refuse what this host has not, before anything is started; `starter` gives who starts inits.

    Raises: NotSupported, HookFailed.
    """
    _check_hooks(config.isolation.hooks)
    for field, reason, how in unsuited(config, driver, starter):
        raise ReconcilerError(
            ErrorCode.NotSupported, f"cannot enforce {field}: {reason}; {how}", field=field
        )


def _check_hooks(hooks: Hooks) -> None:
    """Refuse programs of the host's that are not there. Raises: HookFailed."""
    kinds = (
        ("prestart", hooks.prestart),
        ("createRuntime", hooks.create_runtime),
        ("createContainer", hooks.create_container),
        ("poststart", hooks.poststart),
        ("poststop", hooks.poststop),
    )
    for kind, programs in kinds:
        for index, hook in enumerate(programs):
            if not (os.path.isfile(hook.path) and os.access(hook.path, os.X_OK)):
                is_there = os.path.exists(hook.path)
                what = "is not an executable file" if is_there else "does not exist"
                field = f"hooks.{kind}[{index}].command"
                message = f"the {kind} hook {hook.path} {what}; correct {field}"
                raise ReconcilerError(ErrorCode.HookFailed, message, path=hook.path, field=field)


def unsuited(
    config: Config, driver: CgroupDriver, starter: Callable[[], int]
) -> Iterator[Unsupported]:
    """Yield the fields that cannot be had on this host, why, and how to get them."""
    isolation = config.isolation
    for name, cpus in (
        ("init", isolation.init_affinity),
        ("exec", isolation.cpu_affinity[1]),
    ):
        yield from _beyond(f"cpuAffinity.{name}", "CPU", cpus, _ONLINE_CPUS)
    nodes = isolation.memory_policy.nodes if isolation.memory_policy is not None else None
    yield from _beyond("memoryPolicy", "NUMA node", nodes, _ONLINE_NODES)
    if isolation.namespaces.time != NamespaceMode.HOST and not os.path.exists(_TIME):
        how = "boot a kernel with CONFIG_TIME_NS, or leave the field out"
        yield Unsupported("namespaces.time", "this kernel has no time namespaces", how)
    scheduler = isolation.scheduler
    if scheduler is not None and scheduler.policy in _REALTIME:
        if scheduler.policy != "SCHED_DEADLINE":
            yield from _realtime_of_cgroup(config, driver)
        yield from _realtime(scheduler.policy, scheduler.priority or 0, starter())
    elif scheduler is not None and scheduler.policy != "SCHED_IDLE":
        yield from _nice(scheduler.nice or 0, starter)
    io_priority = isolation.io_priority
    if (
        io_priority is not None
        and io_priority.io_class == "IOPRIO_CLASS_RT"
        and not any(has_capability(starter(), one) for one in (_CAP_SYS_NICE, _CAP_SYS_ADMIN))
    ):
        how = "start the reconciler with CAP_SYS_NICE"
        yield Unsupported("ioPriority", "RT takes CAP_SYS_NICE, which we lack", how)
    yield from _parameters(config)


def _parameters(config: Config) -> Iterator[Unsupported]:
    """Yield kernel parameters that a namespace of the container's own would not have.

    What a namespace has that is joined is seen when it is.
    """
    by_name = {
        dotted_name(name): name
        for name in config.isolation.sysctl
        if (owner := owner_of(dotted_name(name))) is not None
        and mode_of(config, owner) == NamespaceMode.PRIVATE
    }
    if not by_name:
        return
    from reconciler.linux.inside import missing_parameters  # with threads, which are slow to load

    for name in missing_parameters(tuple(by_name)):
        reason = "this kernel has no such parameter in a namespace of a container's own"
        how = "load the module that it is of, or leave it out"
        yield Unsupported(f"sysctl.{by_name[name]}", reason, how)


def _nice(nice: int, starter: Callable[[], int]) -> Iterator[Unsupported]:
    import resource

    if nice >= 0 or has_capability(starter(), _CAP_SYS_NICE):
        return
    least = 20 - resource.prlimit(starter(), resource.RLIMIT_NICE)[0]
    if nice < min(least, os.getpriority(os.PRIO_PROCESS, starter())):
        reason = f"a nice value of {nice} takes CAP_SYS_NICE, which we lack"
        yield Unsupported("scheduler", reason, "start the reconciler with CAP_SYS_NICE")


def _beyond(field: str, what: str, wanted: str | None, online: str) -> Iterator[Unsupported]:
    """Yield a list that has numbers which this host has not, as the kernel would take no notice."""
    if not wanted or not os.path.exists(online):
        return
    text = read_file(online).decode().strip()
    missing = sorted(set(numbers_of(wanted) or ()) - set(numbers_of(text) or ()))
    if missing:
        reason = f"this host has no {what} {missing[0]}; it has {text}"
        yield Unsupported(field, reason, "name those that it has")


def _realtime_of_cgroup(config: Config, driver: CgroupDriver) -> Iterator[Unsupported]:
    """Yield a policy that the kernel would refuse: v1's groups have no real time unless given."""
    base = driver.base_paths().get("cpu")
    is_shared_out = base is not None and os.path.exists(f"{base}/cpu.rt_runtime_us")
    if is_shared_out and not config.resources.cpu.realtime_runtime_us:
        reason = "on cgroup v1 its cgroup has no real time unless it is given some"
        how = "write resources: {cpu: {realtimeRuntime: 50ms}}, of each second"
        yield Unsupported("scheduler", reason, how)


def _realtime(policy: str, priority: int, starter: int) -> Iterator[Unsupported]:
    if has_capability(starter, _CAP_SYS_NICE):
        return
    if policy != "SCHED_DEADLINE" and _realtime_limit(starter) >= priority:
        return
    how = "start the reconciler with CAP_SYS_NICE"
    if policy != "SCHED_DEADLINE":
        how += f", or with an RLIMIT_RTPRIO of {priority} or more (systemd: LimitRTPRIO={priority})"
    reason = f"{policy} takes CAP_SYS_NICE, which we lack"
    yield Unsupported("scheduler", reason, how)


def _realtime_limit(starter: int) -> int:
    """Return the highest priority that RLIMIT_RTPRIO allows without a capability."""
    import resource

    soft = resource.prlimit(starter, resource.RLIMIT_RTPRIO)[0]
    return 99 if soft == resource.RLIM_INFINITY else soft


def has_capability(pid: int, number: int) -> bool:
    """Tell whether a process has a capability in force. Raises: OSError."""
    lines = read_file(f"/proc/{pid}/status").splitlines()
    mask = next(line for line in lines if line.startswith(b"CapEff:")).split()[1]
    return bool(int(mask, 16) >> number & 1)
