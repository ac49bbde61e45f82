"""Seccomp profiles that a spec names by file: the OCI's format, as in a config.json.

Called by `parse`. The content becomes a part of the spec, so that an edit of it is one of the spec.
What docker's own format has beyond the OCI's (`includes` and its kin) changes what rules mean: it
is refused and not passed over.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.engine.seccomp_oci import compile_profile
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.loader.document import DocumentError, decode_text
from reconciler.loader.findings import Path
from reconciler.loader.sources import FileTrouble

FIELD: Path = ("security", "seccomp", "profile")

_OF_DOCKER = "is docker's own format, which its daemon turns into the OCI's"
_HOW_DOCKER = (
    "take the result: 'linux.seccomp' of the config.json that docker or podman gives its runtime"
)
_TEXTS, _WHOLE = (list, str), (int, None)
# Field: its type, and that of its items.
_Form = dict[str, tuple[type, type | None]]
_PROFILE: _Form = {
    "defaultAction": (str, None),
    "defaultErrnoRet": _WHOLE,
    "architectures": _TEXTS,
    "flags": _TEXTS,
    "listenerPath": (str, None),
    "listenerMetadata": (str, None),
    "syscalls": (list, dict),
}
_RULE: _Form = {
    "names": _TEXTS,
    "name": (str, None),
    "action": (str, None),
    "errnoRet": _WHOLE,
    "args": (list, dict),
    "comment": (str, None),
}
_ARG: _Form = {
    "index": _WHOLE,
    "value": _WHOLE,
    "valueTwo": _WHOLE,
    "op": (str, None),
}
_NAMES = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def find_profile(data: dict[str, Any], base_of: Callable[[Path], str]) -> str | None:
    """Return the path (absolute) of the profile that a document names, None when it names none."""
    security = data.get("security")
    given = security.get("seccomp") if isinstance(security, dict) else None
    path = given.get("profile") if isinstance(given, dict) else None
    if not isinstance(path, str) or not path or "\0" in path:
        return None
    return os.path.normpath(os.path.join(base_of(FIELD), path))


def read_profile(file: str, take: Callable[[str], bytes | None]) -> str:
    """Return a profile as JSON text in one form, whatever its file's layout.

    Raises: FileTrouble when it is missing or cannot be read; DocumentError for what is wrong in it.
    """
    data = take(file)
    if data is None:
        raise FileTrouble(ErrorCode.SpecUnreadable, f"the profile {file} does not exist")
    profile = _parse(decode_text(data, is_json=True))
    for problem in _problems(profile):
        raise DocumentError(ErrorCode.SpecValue, f"the seccomp profile: {problem}", 1, 1)
    text = json.dumps(profile, sort_keys=True, separators=(",", ":"))
    try:
        compile_profile(text)
    except ReconcilerError as error:
        if error.code is ErrorCode.ConfigInvalid:
            where = (error.field or "").removeprefix("linux.seccomp").lstrip(".")
            message = f"{error.message}; see {where}" if where else error.message
            raise DocumentError(ErrorCode.SpecValue, message, 1, 1) from None
    return text


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"the seccomp profile is not valid JSON: {error.msg}"
        raise DocumentError(ErrorCode.SpecSyntax, message, error.lineno, error.colno) from None
    except RecursionError:
        message = "the seccomp profile is nested too deeply"
        raise DocumentError(ErrorCode.SpecSyntax, message, 1, 1) from None


def _problems(profile: Any) -> Iterator[str]:
    """Yield what has not the format's form."""
    if not isinstance(profile, dict):
        yield 'it must be an object, as {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [...]}'
        return
    if "linux" in profile:
        yield "it is a whole config.json; keep what is in its linux.seccomp"
    if "archMap" in profile:
        yield f"archMap {_OF_DOCKER}; {_HOW_DOCKER}"
    yield from _object_problems(profile, _PROFILE, "")
    if "defaultAction" not in profile:
        yield "defaultAction is missing, which is for all that is not listed: SCMP_ACT_ERRNO denies"
    for index, rule in enumerate(profile.get("syscalls", ())):
        where = f"syscalls[{index}]."
        for name in ("includes", "excludes"):
            if rule.get(name):
                yield f"{where}{name} {_OF_DOCKER}; {_HOW_DOCKER}"
        known = {key: value for key, value in rule.items() if key not in ("includes", "excludes")}
        yield from _object_problems(known, _RULE, where)
        for number, arg in enumerate(rule.get("args", ())):
            yield from _object_problems(arg, _ARG, f"{where}args[{number}].")


def _object_problems(data: dict[str, Any], known: _Form, where: str) -> Iterator[str]:
    for name, value in data.items():
        if name not in known:
            yield f"{where}{name:.80} is no field of it (known here: {', '.join(known)})"
            continue
        kind, inner = known[name]
        items: Any = value
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{where}{name} must be {_NAMES[kind]}"
        elif inner is not None:
            for index, item in enumerate(items):
                if not isinstance(item, inner):
                    yield f"{where}{name}[{index}] must be {_NAMES[inner]}"
