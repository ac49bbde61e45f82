"""The `process` object of config.json, which is also what `exec --process` reads.

Called by `translate` and by the verb `exec`. Source: runtime-spec config.md, Process.
"""

from __future__ import annotations

from reconciler.lean import NamedTuple, cache
from reconciler.linux.capabilities import NUMBERS, last_cap, read_own
from reconciler.model.config import Rlimit, SeccompMode, Security
from reconciler.model.isolation import Capabilities, IoPriority, Isolation, Scheduler
from reconciler.oci.fields import Fields

_UNLIMITED = 2**64 - 1
_RLIMITS = frozenset(
    {"AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC"}
    | {"RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK"}
)
_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


class ProcessParts(NamedTuple):
    """What a process object says, in the parts of a Config."""

    command: tuple[str, ...]
    workdir: str
    user: str
    groups: tuple[str, ...]
    security: Security
    rlimits: tuple[Rlimit, ...]
    oom_score_adj: int | None
    isolation: Isolation


def translate_process(process: Fields) -> ProcessParts:
    """Return the parts. Raises: ConfigInvalid, NotSupported."""
    command = process.texts("args")
    if not command or not command[0]:
        raise process.invalid("args", "must name a command")
    user = process.child("user")
    uid, gid = user.natural("uid") or 0, user.natural("gid") or 0
    return ProcessParts(
        command=command,
        workdir=process.absolute("cwd"),
        user=f"{uid}:{gid}",
        groups=tuple(map(str, user.numbers("additionalGids"))),
        security=Security(
            no_new_privileges=process.flag("noNewPrivileges"), seccomp=SeccompMode.UNCONFINED
        ),
        rlimits=_rlimits(process),
        oom_score_adj=_oom_score(process),
        isolation=Isolation(
            capabilities=_capabilities(process.child("capabilities")),
            umask=user.natural("umask"),
            scheduler=_scheduler(process),
            io_priority=_io_priority(process),
            cpu_affinity=_affinity(process.child("execCPUAffinity")),
            apparmor_profile=process.text("apparmorProfile") or None,
            selinux_label=process.text("selinuxLabel") or None,
            terminal=_terminal(process),
            environment=_environment(process),
        ),
    )


def no_process() -> ProcessParts:
    """Return the parts of a process that is not given: it has no command."""
    return translate_process(Fields({"args": ["-"], "cwd": "/"}, "process"))._replace(command=())


def refused_capabilities(process: Fields) -> list[str]:
    """Return the capabilities that cannot be granted, which is worth a warning and no more.

    Not those that are ambient without being inheritable: tools of old list them so, and the
    kernel has no such thing (capabilities(7)).
    """
    fields = process.child("capabilities")
    asked = {name for kind in _SETS for name in fields.texts(kind)}
    return sorted(name for name in asked if not can_grant(name))


def can_grant(name: str) -> bool:
    """Tell whether this kernel knows a capability and we have it to give."""
    number = NUMBERS.get(name.removeprefix("CAP_"))
    if number is None or number > last_cap():
        return False
    return bool(_permitted_mask() >> number & 1)


@cache
def _permitted_mask() -> int:
    return read_own().permitted


def _capabilities(fields: Fields) -> Capabilities:
    """Return the sets, without what the kernel would refuse (capabilities(7))."""
    sets = {
        kind: {name.removeprefix("CAP_") for name in fields.texts(kind) if can_grant(name)}
        for kind in _SETS
    }
    sets["effective"] &= sets["permitted"]
    sets["ambient"] &= sets["permitted"] & sets["inheritable"]
    return Capabilities(**{kind: tuple(sorted(names)) for kind, names in sets.items()})


def _environment(process: Fields) -> tuple[str, ...]:
    env = process.texts("env")
    for index, item in enumerate(env):
        if item.startswith("=") or "=" not in item:
            raise process.invalid(f"env[{index}]", f"must be NAME=VALUE, and is '{item:.60}'")
        if "\0" in item:
            raise process.invalid(f"env[{index}]", "must not have a NUL byte")
    return env


def _rlimits(process: Fields) -> tuple[Rlimit, ...]:
    limits: dict[str, Rlimit] = {}
    for one in process.children("rlimits"):
        kind = one.required_text("type").removeprefix("RLIMIT_")
        if kind not in _RLIMITS:
            raise one.invalid("type", f"is no limit that can be set: RLIMIT_{kind}")
        if kind in limits:
            raise one.invalid("type", f"lists RLIMIT_{kind} a second time")
        soft, hard = one.required_number("soft"), one.required_number("hard")
        limits[kind] = Rlimit(type=kind, soft=_rlimit(soft), hard=_rlimit(hard))
    return tuple(limits.values())


def _rlimit(value: int) -> int | None:
    return None if value in (_UNLIMITED, -1) else value


def _oom_score(process: Fields) -> int | None:
    value = process.number("oomScoreAdj")
    if value is not None and not -1000 <= value <= 1000:
        raise process.invalid("oomScoreAdj", f"must be -1000 to 1000, and is {value}")
    return value


def _terminal(process: Fields) -> tuple[int, int] | None:
    if not process.flag("terminal"):
        return None
    size = process.child("consoleSize")
    return size.natural("height") or 0, size.natural("width") or 0


def _scheduler(process: Fields) -> Scheduler | None:
    if "scheduler" not in process:
        return None
    fields = process.child("scheduler")
    return Scheduler(
        policy=fields.required_text("policy"),
        nice=fields.number("nice"),
        priority=fields.number("priority"),
        flags=fields.texts("flags"),
        runtime_ns=fields.natural("runtime"),
        deadline_ns=fields.natural("deadline"),
        period_ns=fields.natural("period"),
    )


def _io_priority(process: Fields) -> IoPriority | None:
    if "ioPriority" not in process:
        return None
    fields = process.child("ioPriority")
    priority = fields.natural("priority") or 0
    if priority > 7:
        raise fields.invalid("priority", f"must be 0 to 7, and is {priority}")
    return IoPriority(io_class=fields.required_text("class"), priority=priority)


def _affinity(fields: Fields) -> tuple[str | None, str | None]:
    return fields.text("initial") or None, fields.text("final") or None
