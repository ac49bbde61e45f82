"""Seccomp profiles in the OCI format, compiled.

Called by `setup_process` for `Isolation.seccomp`. It may not load a filter. Rules for one system
call are tried in their order, those without conditions last; a name that this machine does not
have is passed over, as libseccomp's callers do. Source: runtime-spec config-linux.md (Seccomp).
"""

from __future__ import annotations

import errno
import os

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, NamedTuple, json, lru_cache
from reconciler.linux import seccomp
from reconciler.linux.seccomp import Condition, Rules, Verdict, compile_filter
from reconciler.linux.syscall_numbers import syscall_numbers
from reconciler.linux.trampoline import SYSTEM_CALLS

_ACTIONS = {
    "SCMP_ACT_KILL": seccomp.SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": seccomp.SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": seccomp.SECCOMP_RET_KILL_PROCESS,
    "SCMP_ACT_TRAP": seccomp.SECCOMP_RET_TRAP,
    "SCMP_ACT_ERRNO": seccomp.SECCOMP_RET_ERRNO,
    "SCMP_ACT_TRACE": seccomp.SECCOMP_RET_TRACE,
    "SCMP_ACT_ALLOW": seccomp.SECCOMP_RET_ALLOW,
    "SCMP_ACT_LOG": seccomp.SECCOMP_RET_LOG,
    "SCMP_ACT_NOTIFY": seccomp.SECCOMP_RET_USER_NOTIF,
}
_WITH_ERRNO = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
_WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    _WAIT_KILLABLE: 32,
}
_ALLOWING = frozenset({seccomp.SECCOMP_RET_ALLOW, seccomp.SECCOMP_RET_LOG})
_PASSING = _ALLOWING | {seccomp.SECCOMP_RET_TRACE, seccomp.SECCOMP_RET_USER_NOTIF}
_SENDING = ("sendmsg", "write")
_OPERATORS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"})
_ARCHES = {"x86_64": seccomp.AUDIT_ARCH_X86_64, "aarch64": seccomp.AUDIT_ARCH_AARCH64}
# By machine: what a profile may list beside it, the table of its numbers, its number.
_FURTHER = {"x86_64": (("SCMP_ARCH_X86", "i386", seccomp.AUDIT_ARCH_I386),)}

ACTIONS, OPERATORS, FLAGS = tuple(_ACTIONS), tuple(sorted(_OPERATORS)), tuple(_FLAGS)
ARCHITECTURES = tuple(
    f"SCMP_ARCH_{name}"
    for name in (
        *("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL"),
        *("MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X", "PARISC"),
        *("PARISC64", "RISCV64", "LOONGARCH64", "M68K", "SH", "SHEB"),
    )
)


class Profile(NamedTuple):
    """A compiled profile: the program, flags of seccomp(2), and where notifications go.

    `allows_trampoline`: whatever its arguments, each system call of `linux.trampoline` is allowed.
    """

    program: bytes
    flags: int
    listener_path: str | None
    listener_metadata: str
    allows_trampoline: bool


@lru_cache(maxsize=1)
def compile_profile(text: str) -> Profile:
    """Return the profile, compiled for this machine.

    It covers the machine's own calls and, where the profile lists them, those that its kernel takes
    beside: i386's on x86_64. Those of any other architecture kill the process; x32's, which hardly
    a kernel has, fail with ENOSYS. So do numbers that are newer than our tables, where the default
    forbids: libraries fall back upon that, as they do on an older kernel.

    Raises: ConfigInvalid, NotSupported.
    """
    data = json.loads(text)
    machine = os.uname().machine
    if machine not in _ARCHES:
        message = f"there is no table of system calls for {machine}"
        raise _error(ErrorCode.NotSupported, "", message)
    default = _action(data, "defaultAction", data.get("defaultErrnoRet"), "defaultAction")
    flags = 0
    for name in data.get("flags") or ():
        if name not in _FLAGS:
            raise _error(ErrorCode.ConfigInvalid, "flags", f"'{name}' is no flag of seccomp(2)")
        flags |= _FLAGS[name]
    has_notify = _check_listener(data, text)
    if not has_notify and flags & _FLAGS[_WAIT_KILLABLE]:
        message = f"{_WAIT_KILLABLE} is for a filter with SCMP_ACT_NOTIFY alone"
        raise _error(ErrorCode.ConfigInvalid, "flags", message)
    listed = _architectures(data)
    syscalls = data.get("syscalls") or []
    further = [one for one in _FURTHER.get(machine, ()) if one[0] in listed]
    others = {number: _verdicts(syscalls, default, table) for _, table, number in further}
    own = _verdicts(syscalls, default, machine)
    unknown = None
    if default not in _PASSING:
        tables = {_ARCHES[machine]: machine} | {arch: name for _, name, arch in further}
        unknown = {arch: max(syscall_numbers(name).values()) + 1 for arch, name in tables.items()}
    program = compile_filter(_ARCHES[machine], own, default, others, unknown)
    listener = data.get("listenerPath") if has_notify else None
    metadata = str(data.get("listenerMetadata", ""))
    return Profile(program, flags, listener, metadata, _allow_trampoline(own, default, machine))


def _allow_trampoline(verdicts: dict[int, Verdict], default: int, machine: str) -> bool:
    numbers = syscall_numbers(machine)
    asked = [numbers[name] for name in SYSTEM_CALLS if name in numbers]
    return all(verdicts.get(number, default) in _ALLOWING for number in asked)


def _architectures(data: Any) -> list[str]:
    listed: list[str] = data.get("architectures") or []
    for index, name in enumerate(listed):
        if name not in ARCHITECTURES:
            message = f"'{name}' is no architecture"
            raise _error(ErrorCode.ConfigInvalid, f"architectures[{index}]", message)
    return listed


def _check_listener(data: Any, text: str) -> bool:
    """Tell whether there are notifications. Raises: ConfigInvalid."""
    has_notify, path = "SCMP_ACT_NOTIFY" in text, data.get("listenerPath")
    if has_notify and not path:
        message = "SCMP_ACT_NOTIFY needs listenerPath, the socket that takes the notifications"
        raise _error(ErrorCode.ConfigInvalid, "listenerPath", message)
    if data.get("listenerMetadata") and not path:
        message = "listenerMetadata is for who listens at listenerPath, which is not set"
        raise _error(ErrorCode.ConfigInvalid, "listenerMetadata", message)
    if data.get("defaultAction") == "SCMP_ACT_NOTIFY":
        message = "SCMP_ACT_NOTIFY cannot be the default: sending the listener is a call too"
        raise _error(ErrorCode.ConfigInvalid, "defaultAction", message)
    return has_notify


def _verdicts(syscalls: list[Any], default: int, machine: str) -> dict[int, Verdict]:
    numbers = syscall_numbers(machine)
    conditional: dict[int, list[tuple[tuple[Condition, ...], int]]] = {}
    plain: dict[int, int] = {}
    for index, entry in enumerate(syscalls):
        where = f"syscalls[{index}]"
        action = _action(entry, "action", entry.get("errnoRet"), f"{where}.action")
        names = entry.get("names") or ([entry["name"]] if "name" in entry else [])
        if not names:
            message = "names must have at least one entry"
            raise _error(ErrorCode.ConfigInvalid, f"{where}.names", message)
        alternatives = _alternatives(entry.get("args") or [], f"{where}.args")
        for name in names:
            if name in _SENDING and action == seccomp.SECCOMP_RET_USER_NOTIF:
                message = f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall: it is made on "
                message += "the way to the command, by what sends the listener"
                raise _error(ErrorCode.ConfigInvalid, where, message)
            number = numbers.get(name)
            if number is None:
                continue
            if alternatives:
                rules = conditional.setdefault(number, [])
                rules += [(conditions, action) for conditions in alternatives]
            else:
                plain[number] = action
    return {
        number: Rules(tuple(conditional[number]), plain.get(number, default))
        if number in conditional
        else plain[number]
        for number in conditional.keys() | plain.keys()
    }


def _alternatives(args: list[Any], where: str) -> list[tuple[Condition, ...]]:
    """Return the conditions that must hold together, in as many alternatives as there are.

    Conditions on different arguments must all hold; where one argument has several, each is an
    alternative of its own (as runc has it).
    """
    conditions = tuple(_condition(one, f"{where}[{i}]") for i, one in enumerate(args))
    if len({one.argument for one in conditions}) < len(conditions):
        return [(one,) for one in conditions]
    return [conditions] if conditions else []


def _condition(data: Any, where: str) -> Condition:
    op = str(data.get("op", "")).removeprefix("SCMP_CMP_")
    index = data.get("index", -1)
    if op not in _OPERATORS:
        message = f"'{data.get('op')}' is no comparison"
        raise _error(ErrorCode.ConfigInvalid, f"{where}.op", message)
    if index not in range(6):
        message = f"{index} is no argument: they are numbered from 0 to 5"
        raise _error(ErrorCode.ConfigInvalid, f"{where}.index", message)
    word = 2**64 - 1
    return Condition(index, op, data.get("value", 0) & word, data.get("valueTwo", 0) & word)


def _action(data: Any, key: str, errno_ret: int | None, where: str) -> int:
    name = data.get(key)
    if name not in _ACTIONS:
        raise _error(ErrorCode.ConfigInvalid, where, f"'{name}' is no action")
    if name not in _WITH_ERRNO and errno_ret is not None:
        message = f"{name} returns no errno: leave out the errnoRet"
        raise _error(ErrorCode.ConfigInvalid, where, message)
    if name in _WITH_ERRNO:
        return _ACTIONS[name] | (errno.EPERM if errno_ret is None else errno_ret & 0xFFFF)
    return _ACTIONS[name]


def _error(code: ErrorCode, where: str, message: str) -> ReconcilerError:
    field = f"linux.seccomp.{where}".rstrip(".")
    return ReconcilerError(code, f"the seccomp profile cannot be used: {message}", field=field)
