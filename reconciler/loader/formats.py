"""The `format` keywords of the schema: what a text must look like, said in words.

Called by the validator through `jsonschema.FormatChecker`. Each check gets any JSON value and
raises ValueError with the message for the user. The schema's patterns say the same to editors
where a pattern can; here is the whole rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from reconciler.loader.foreign import meant
from reconciler.model.config import SeccompMode
from reconciler.model.field_paths import ENFORCED, OBSERVED, UNIFIED_FIELDS, is_known
from reconciler.model.names import explain_id
from reconciler.model.quantity import parse_cpu, parse_duration, parse_size
from reconciler.model.spec import DependencyCondition

_MAX_ID = 2**32 - 2  # (uid_t) -1 means "no change" to chown(2) and setresuid(2)
_USER_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", re.ASCII)
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_CPU_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", re.ASCII)
_DEVICE = re.compile(r"/dev/[^/].*|[0-9]{1,10}:[0-9]{1,10}", re.ASCII | re.DOTALL)
_UNIFIED_FILE = re.compile(r"[a-z]+(\.[A-Za-z0-9_]+)+", re.ASCII)
_HUGETLB_MAX = re.compile(r"hugetlb\.[0-9]+[KMG]B\.max", re.ASCII)
_SYSCTL = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.ASCII)
_MODE = re.compile(r"[0-7]{3,5}", re.ASCII)


def _check_name(value: Any) -> None:
    if reason := explain_id(value):
        raise ValueError(reason)


def _check_text(value: str) -> None:
    if "\0" in value:
        raise ValueError(f"{value!r:.80} contains a NUL character")


def _check_key(value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"the key {value!r:.80} contains an unprintable character")


def _check_env_name(value: str) -> None:
    if not value or "=" in value or "\0" in value:
        raise ValueError(f"{value!r:.80} is not a name of a variable: empty, or with '=' or NUL")


def _check_absolute(value: str) -> None:
    _check_text(value)
    if not value.startswith("/"):
        raise ValueError(f"{value!r:.80} is not an absolute path (it must begin with '/')")


def _check_target(value: str) -> None:
    _check_absolute(value)
    if ".." in value.split("/"):
        raise ValueError(f"{value!r:.80} contains '..'")
    if not value.strip("/."):
        raise ValueError("nothing can be mounted over the root of the container; see 'rootfs'")


def _check_host_path(value: str) -> None:
    _check_text(value)
    if not value:
        raise ValueError("the path is empty")


def _check_env_file(value: str) -> None:
    _check_host_path(value.removeprefix("-"))


def _check_id(value: str | int, what: str) -> None:
    text = str(value)
    if text.isdecimal():
        if int(text[:20]) > _MAX_ID:
            raise ValueError(f"{text:.40} is more than the highest id, {_MAX_ID}")
    elif not _USER_PART.fullmatch(text):
        raise ValueError(f"{value!r:.80} is not {what}")


def _check_user(value: str | int) -> None:
    parts = str(value).split(":")
    if len(parts) > 2:
        raise ValueError(f"{value!r:.80} is not UID, UID:GID, USER or USER:GROUP")
    for part in parts:
        _check_id(part, "UID, UID:GID, USER or USER:GROUP")


def _check_group(value: str | int) -> None:
    _check_id(value, "a group id or the name of a group")


def _check_hostname(value: str) -> None:
    if len(value) > 64:
        raise ValueError(f"{value[:20] + '...'!r} has {len(value)} characters; the most is 64")
    if not all(map(_HOST_LABEL.fullmatch, value.split("."))):
        rule = "letters, digits and '-', in parts of at most 63 joined by '.'"
        raise ValueError(f"{value!r} is not a host name ({rule})")


def _check_cpu_list(value: str | int) -> None:
    for part in str(value).split(","):
        match = _CPU_RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{value!r:.80} is not a list of numbers and ranges (example: 0-3,8)")
        if match[2] and int(match[1]) > int(match[2]):
            raise ValueError(f"the range {part} runs backwards")


def _check_device(value: str) -> None:
    _check_text(value)
    if not _DEVICE.fullmatch(value) or ".." in value.split("/"):
        raise ValueError(f"{value!r:.80} is not a block device (examples: /dev/sda, 8:0)")


def _check_unified_file(value: str) -> None:
    if not _UNIFIED_FILE.fullmatch(value):
        raise ValueError(f"{value!r:.80} is no file of cgroup v2 (example: memory.swap.high)")
    if value in UNIFIED_FIELDS or _HUGETLB_MAX.fullmatch(value):
        field = UNIFIED_FIELDS.get(value, "resources.hugetlb")
        raise ValueError(f"{value} has a field of its own: {field}")


def _check_namespace(value: str) -> None:
    _check_text(value)
    if value not in ("private", "host") and not value.startswith("/"):
        raise ValueError(f"{value!r:.80} is not private, host or the path of a namespace")


def _check_sysctl(value: str) -> None:
    if not _SYSCTL.fullmatch(value):
        message = f"{value!r:.80} is no kernel parameter (example: net.core.somaxconn)"
        raise ValueError(message)


def _check_umask(value: str) -> None:
    if not _MODE.fullmatch(value) or int(value, 8) > 0o777:
        raise ValueError(f"{value!r:.80} is not an octal mask (examples: '0022', '0077')")


def _check_mode(value: str) -> None:
    if not _MODE.fullmatch(value) or int(value, 8) > 0o7777:
        raise ValueError(f"{value!r:.80} is not an octal mode (examples: '0755', '1777')")


def _check_rlimit(value: str) -> None:
    if value != "unlimited":
        raise ValueError(f"{value!r:.80} is neither a number nor 'unlimited'")


def _check_logs(value: str) -> None:
    if value != "none":
        raise ValueError(f"{value!r:.80} is neither 'none' nor a mapping with maxSize and maxFiles")


def _check_device_path(value: str) -> None:
    _check_text(value)
    if not value.startswith("/dev/") or ".." in value.split("/"):
        raise ValueError(f"{value!r:.80} is not the path of a device (example: /dev/fuse)")


def _check_interface(value: str) -> None:
    is_name = 0 < len(value.encode(errors="replace")) < 16 and value not in (".", "..")
    if not is_name or any(char in "/:\0" or char.isspace() for char in value):
        rule = "1 to 15 characters, without '/', ':' and blanks"
        raise ValueError(f"{value!r:.80} is no name of a network device ({rule})")


def _check_device_name(value: str) -> None:
    _check_interface(value)
    if value == "lo":
        raise ValueError("lo cannot be moved: every container has its own")


def _check_offset(value: str | int) -> None:
    parse_duration(str(value).removeprefix("-"))


def _check_seccomp(value: str) -> None:
    if value not in tuple(SeccompMode):
        hint = f"; for a profile of your own write {{profile: {value:.80}}}" if "." in value else ""
        raise ValueError(f"{value!r:.80} is neither default nor unconfined{hint}")


def _check_reaction(value: str) -> None:
    if value not in ("ignore", "restart"):
        forms = "ignore, restart, {signal: NAME} or {exec: [COMMAND, ...]}"
        raise ValueError(f"{value!r:.80} is not one of {forms}")


def _check_condition(value: str) -> None:
    conditions = tuple(DependencyCondition)
    if value not in conditions:
        choice = meant(value, conditions)
        hint = f"; did you mean '{choice}'?" if choice else ""
        raise ValueError(f"{value!r:.80} is not one of {', '.join(conditions)}{hint}")


def _check_address(value: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(value)
    except ValueError:
        message = f"{value!r:.80} is not an IPv4 or IPv6 address (names are not looked up)"
        raise ValueError(message) from None


def _check_drift_field(value: str) -> None:
    _check_field(value, OBSERVED, "can be seen to differ while it runs")


def _check_enforced_field(value: str) -> None:
    _check_field(value, ENFORCED, "a host may be unable to enforce")


def _check_field(value: str, known: tuple[str, ...], what: str) -> None:
    if is_known(value, known):
        return
    from difflib import get_close_matches

    near = get_close_matches(value[:80], known, 1)
    tops = dict.fromkeys(one.partition(".")[0] for one in known)
    hint = f"did you mean '{near[0]}'?" if near else f"those are in {', '.join(tops)}"
    raise ValueError(f"{value!r:.80} is no field that {what}; {hint}")


_Check = Callable[[Any], Any]

# Format name: the check, and the JSON types that it is for (others the schema's type refuses).
_FORMATS: dict[str, tuple[_Check, tuple[type, ...]]] = {
    "container-name": (_check_name, (str,)),
    "text": (_check_text, (str,)),
    "key": (_check_key, (str,)),
    "env-name": (_check_env_name, (str,)),
    "absolute-path": (_check_absolute, (str,)),
    "mount-target": (_check_target, (str,)),
    "host-path": (_check_host_path, (str,)),
    "env-file": (_check_env_file, (str,)),
    "user": (_check_user, (str, int)),
    "group": (_check_group, (str, int)),
    "host-name": (_check_hostname, (str,)),
    "cpu-list": (_check_cpu_list, (str, int)),
    "block-device": (_check_device, (str,)),
    "unified-file": (_check_unified_file, (str,)),
    "octal-mode": (_check_mode, (str,)),
    "umask": (_check_umask, (str,)),
    "namespace": (_check_namespace, (str,)),
    "sysctl": (_check_sysctl, (str,)),
    "rlimit-value": (_check_rlimit, (str,)),
    "logs": (_check_logs, (str,)),
    "seccomp": (_check_seccomp, (str,)),
    "reaction": (_check_reaction, (str,)),
    "dependency-condition": (_check_condition, (str,)),
    "ip-address": (_check_address, (str,)),
    "drift-field": (_check_drift_field, (str,)),
    "enforced-field": (_check_enforced_field, (str,)),
    "size": (parse_size, (str, int)),
    "cpu-amount": (parse_cpu, (str, int, float)),
    "device-path": (_check_device_path, (str,)),
    "interface": (_check_interface, (str,)),
    "device-name": (_check_device_name, (str,)),
    "time-offset": (_check_offset, (str, int)),
    "duration-go": (parse_duration, (str, int)),
}


def format_checks() -> dict[str, Callable[[object], bool]]:
    """Return each format's check: it returns True, or raises ValueError with the message."""
    return {name: _only_for(check, types) for name, (check, types) in _FORMATS.items()}


def make_format_checker() -> Any:
    """Return the `jsonschema.FormatChecker` that knows the formats of our schema alone."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name, is_conforming in format_checks().items():
        checker.checks(name, raises=ValueError)(is_conforming)
    return checker


def _only_for(check: _Check, types: tuple[type, ...]) -> Callable[[object], bool]:
    def is_conforming(value: object) -> bool:
        if isinstance(value, types) and not isinstance(value, bool):
            check(value)
        return True

    return is_conforming
