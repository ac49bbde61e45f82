"""Seccomp profiles in the OCI format, compiled.

Called by `setup_process` for `Isolation.seccomp`. It may not load a filter. Rules for one system
call are tried in their order, those without conditions last; a name that this machine does not
have is passed over, as libseccomp's callers do. Source: runtime-spec config-linux.md (Seccomp).
"""

from __future__ import annotations

import errno
import os

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, NamedTuple, json
from reconciler.linux import seccomp
from reconciler.linux.seccomp import Condition, Rules, Verdict, compile_filter
from reconciler.linux.syscall_numbers import syscall_numbers

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
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_OPERATORS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"})
_ARCHES = {
    "x86_64": ("SCMP_ARCH_X86_64", seccomp.AUDIT_ARCH_X86_64),
    "aarch64": ("SCMP_ARCH_AARCH64", seccomp.AUDIT_ARCH_AARCH64),
}

ACTIONS, OPERATORS, FLAGS = tuple(_ACTIONS), tuple(sorted(_OPERATORS)), tuple(_FLAGS)
ARCHITECTURES = tuple(name for name, _ in _ARCHES.values())


class Profile(NamedTuple):
    """A compiled profile: the program, flags of seccomp(2), and where notifications go."""

    program: bytes
    flags: int
    listener_path: str | None
    listener_metadata: str


def compile_profile(text: str) -> Profile:
    """Return the profile, compiled for this machine.

    Calls of another architecture kill the process, also of those that the profile lists: there is
    a table of the machine's own numbers alone.

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
    has_notify = "SCMP_ACT_NOTIFY" in text
    if has_notify and not data.get("listenerPath"):
        message = "SCMP_ACT_NOTIFY needs listenerPath, the socket that takes the notifications"
        raise _error(ErrorCode.ConfigInvalid, "listenerPath", message)
    verdicts = _verdicts(data.get("syscalls") or [], default, machine)
    program = compile_filter(_ARCHES[machine][1], verdicts, default)
    listener = data.get("listenerPath") if has_notify else None
    return Profile(program, flags, listener, str(data.get("listenerMetadata", "")))


def _verdicts(syscalls: list[Any], default: int, machine: str) -> dict[int, Verdict]:
    numbers = syscall_numbers(machine)
    conditional: dict[int, list[tuple[tuple[Condition, ...], int]]] = {}
    plain: dict[int, int] = {}
    for index, entry in enumerate(syscalls):
        where = f"syscalls[{index}]"
        action = _action(entry, "action", entry.get("errnoRet"), f"{where}.action")
        names = entry.get("names") or ([entry["name"]] if "name" in entry else [])
        alternatives = _alternatives(entry.get("args") or [], f"{where}.args")
        for name in names:
            if name == "sendmsg" and action == seccomp.SECCOMP_RET_USER_NOTIF:
                message = "sendmsg cannot be notified of: it is what sends the listener"
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
    if name in _WITH_ERRNO:
        return _ACTIONS[name] | (errno.EPERM if errno_ret is None else errno_ret & 0xFFFF)
    return _ACTIONS[name]


def _error(code: ErrorCode, where: str, message: str) -> ReconcilerError:
    field = f"linux.seccomp.{where}".rstrip(".")
    return ReconcilerError(code, f"the seccomp profile cannot be used: {message}", field=field)
