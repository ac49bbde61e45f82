"""What no kernel call could take is refused with all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.engine.well_formed import check_command, check_config, check_resources
from reconciler.errors import ConfigInvalid
from reconciler.model.config import (
    Command,
    Config,
    MemoryLimits,
    Mount,
    MountType,
    PidsLimits,
    Resources,
    Rootfs,
)
from reconciler.model.frozen import replace

GOOD = Config(command=("/bin/true", ""), env={"A": ""}, user="1:1", hostname="h", groups=("9",))


def problems_of(call: Callable[[], None]) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        call()
    assert caught.value.container == "web"
    return [str(problem) for problem in caught.value.problems]


def test_what_is_well_formed_passes() -> None:
    check_config("web", GOOD)
    check_command("web", Command(argv=("true",)), 3)
    check_command("web", Command(argv=("true",), terminal=(24, 80)), 1)
    check_resources("web", Resources(memory=MemoryLimits(max_bytes=0)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ()}, "command: () names no program"),
        ({"command": ("", "a")}, "command: ('', 'a') names no program"),
        ({"command": "sleep 1"}, "command: 'sleep 1' names no program"),
        ({"command": ("sleep", 1)}, "command: 1 is no text"),
        ({"command": ("a", "b\0")}, "command: 'b\\x00' contains a zero byte"),
        ({"env": {"": "a"}}, "env: '' is no name"),
        ({"env": {"A=B": "a"}}, "env: 'A=B' is no name"),
        ({"env": {"A": "\0"}}, "env: '\\x00' contains a zero byte"),
        ({"workdir": "/\0"}, "workdir: "),
        ({"user": "a\0"}, "user: "),
        ({"groups": ("a\0",)}, "groups: "),
        ({"hostname": "a\0"}, "hostname: "),
        ({"rootfs": Rootfs(path="/\0")}, "rootfs.path: "),
        ({"mounts": (Mount(type=MountType.TMPFS, target="/\0"),)}, "mounts: "),
        ({"mounts": (Mount(type=MountType.TMPFS, target="/", options=("\0",)),)}, "mounts: "),
    ],
)
def test_one_mistake_is_named_with_its_field(changes: dict[str, object], words: str) -> None:
    (problem,) = problems_of(lambda: check_config("web", replace(GOOD, **changes)))
    assert problem.startswith(words)


def test_all_mistakes_are_told_together() -> None:
    config = replace(GOOD, command=(), env={"": "\0"})
    assert len(problems_of(lambda: check_config("web", config))) == 3
    with pytest.raises(ConfigInvalid, match=r"cannot take the Config of web: .* \(and 2 more\)"):
        check_config("web", config)


@pytest.mark.parametrize("streams", [0, 1, 2, 4])
def test_a_process_takes_three_descriptors(streams: int) -> None:
    (problem,) = problems_of(lambda: check_command("web", Command(argv=("true",)), streams))
    assert problem == f"streams: {streams} descriptors; a process takes 3"


def test_a_limit_below_zero_is_none() -> None:
    limits = Resources(memory=MemoryLimits(max_bytes=-1), pids=PidsLimits(max=-5))
    assert problems_of(lambda: check_resources("web", limits)) == [
        "resources.pids.max: -5 is below zero; None does not limit",
        "resources.memory.max: -1 is below zero; None does not limit",
    ]
