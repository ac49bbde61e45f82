"""Refuses a Config that no kernel call could take, before anything is made of it.

Called by Engine and Container. Specs come validated from the loader; this is for whoever makes a
Config by hand. What depends on the host or the root file system is seen at the start.
"""

from __future__ import annotations

from reconciler.errors import ConfigInvalid, ErrorCode, ReconcilerError
from reconciler.lean import Iterable, Iterator, Mapping, NamedTuple
from reconciler.model.config import Command, Config, Resources


class _Problem(NamedTuple):
    field: str
    text: str


def check_config(container_id: str, config: Config, *, needs_command: bool = True) -> None:
    """Refuse a Config that is not well formed. Raises: ConfigInvalid."""
    problems = [
        *(_of_argv("command", config.command) if needs_command or config.command else ()),
        *_of_env(config.env),
        *_of_text("workdir", config.workdir),
        *_of_text("user", config.user),
        *_of_text("hostname", config.hostname),
        *_of_text("rootfs.path", config.rootfs.path),
    ]
    for group in config.groups:
        problems += _of_text("groups", group)
    for mount in config.mounts:
        for text in (mount.source, mount.target, *mount.options):
            problems += _of_text("mounts", text)
    _refuse(container_id, "take the Config of", problems)


def check_command(container_id: str, command: Command, streams: int) -> None:
    """Refuse a further process that is not well formed. Raises: ConfigInvalid."""
    wanted, who = (3, "a process") if command.terminal is None else (1, "one with a terminal")
    problems = [
        *_of_argv("argv", command.argv),
        *_of_env(command.env),
        *_of_text("workdir", command.workdir),
        *_of_text("user", command.user),
    ]
    if streams != wanted:
        problems.append(_Problem("streams", f"{streams} descriptors; {who} takes {wanted}"))
    _refuse(container_id, "execute a command in", problems)


def check_resources(container_id: str, resources: Resources) -> None:
    """Refuse limits below zero: None is what does not limit. Raises: ConfigInvalid."""
    memory, cpu = resources.memory, resources.cpu
    figures = {
        "pids.max": resources.pids.max,
        "memory.max": memory.max_bytes,
        "memory.high": memory.high_bytes,
        "memory.low": memory.low_bytes,
        "memory.min": memory.min_bytes,
        "memory.swap": memory.swap_bytes,
        "memory.reservation": memory.reservation_bytes,
        "cpu.max": cpu.max_milli,
        "cpu.burst": cpu.burst_ns,
    }
    _refuse(
        container_id,
        "limit",
        [
            _Problem(f"resources.{name}", f"{figure} is below zero; None does not limit")
            for name, figure in figures.items()
            if figure is not None and figure < 0
        ],
    )


def _of_argv(field: str, argv: Iterable[str]) -> Iterator[_Problem]:
    words = () if isinstance(argv, str) else tuple(argv)
    if not words or not words[0]:
        yield _Problem(
            field, f"{argv!r:.60} names no program; write a tuple of it and its arguments"
        )
    for word in words:
        yield from _of_text(field, word)


def _of_env(env: Mapping[str, str]) -> Iterator[_Problem]:
    for name, value in env.items():
        yield from _of_text("env", name)
        yield from _of_text("env", value)
        if not name or "=" in str(name):
            yield _Problem("env", f"{name!r:.60} is no name: it is empty or contains '='")


def _of_text(field: str, text: object) -> Iterator[_Problem]:
    if text is None:
        return
    if not isinstance(text, str):
        yield _Problem(field, f"{text!r:.60} is no text")
    elif "\0" in text:
        yield _Problem(field, f"{text!r:.60} contains a zero byte")


def _refuse(container_id: str, verb: str, problems: list[_Problem]) -> None:
    if not problems:
        return
    field, text = problems[0]
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    errors = [
        ReconcilerError(ErrorCode.ConfigInvalid, f"{problem.field}: {problem.text}")
        for problem in problems
    ]
    message = f"cannot {verb} {container_id}: {field}: {text}{others}"
    raise ConfigInvalid(message, errors, container=container_id, operation=verb, field=field)
