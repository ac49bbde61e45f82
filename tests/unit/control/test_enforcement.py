"""What is only preferred and cannot be enforced is left out, told, and taken up again."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cgroup.canonical import Unsupported
from reconciler.control.conditions import enforced
from reconciler.control.enforcement import is_preferred, leave_out, without
from reconciler.errors import ErrorCode
from reconciler.model.config import Config, MemoryLimits, Resources, Rlimit, SeccompMode
from reconciler.model.field_paths import ENFORCED
from reconciler.model.frozen import fields
from reconciler.model.isolation import Isolation, Namespaces
from reconciler.model.spec import Enforcement, Spec
from reconciler.model.world import Failure, Problem
from tests.unit.planning.world_model import make_desired, make_observed, make_resources, make_spec

HIGH = Unsupported("resources.memory.high", "v1 has none", "boot with v2")
PREFERRED, REQUIRED = Enforcement.PREFERRED, Enforcement.REQUIRED


def make(**enforcement: Enforcement) -> Spec:
    limits = Resources(memory=MemoryLimits(max_bytes=9, high_bytes=5))
    paths = {path.replace("_", "."): one for path, one in enforcement.items()}
    return make_spec(resources=limits, enforcement=paths)


def test_what_the_host_can_enforce_is_the_same_object() -> None:
    desired = make_desired(make(resources=PREFERRED))
    assert leave_out(desired, lambda _: ()) == (desired, {})


def test_a_preferred_field_is_left_out_and_told_and_nothing_else_changes() -> None:
    spec = make(resources_memory_high=PREFERRED)
    after, unenforced = leave_out(make_desired(spec), lambda _: [HIGH])
    assert unenforced == {"web": (HIGH,)}
    left = after.specs["web"]
    assert left.config.resources.memory == MemoryLimits(max_bytes=9)
    assert left.digest == spec.digest


def test_a_required_field_stays_and_the_host_is_not_even_asked() -> None:
    def never(config: Config) -> Any:
        raise AssertionError("asked")

    for spec in (make(), make(resources=REQUIRED)):
        desired = make_desired(spec)
        assert leave_out(desired, never) == (desired, {})
    spec = make(resources=PREFERRED, resources_memory_high=REQUIRED)
    assert leave_out(make_desired(spec), lambda _: [HIGH])[1] == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("rlimits.nofile", True), ("resources.memory.high", True), ("oomScoreAdj", False)],
)
def test_the_nearest_path_decides(path: str, expected: bool) -> None:
    spec = make(rlimits=PREFERRED, resources=REQUIRED, resources_memory=PREFERRED)
    assert is_preferred(spec, path) is expected


@pytest.mark.parametrize("path", [path for path in ENFORCED if path != "rlimits"])
def test_every_field_that_may_be_preferred_can_be_left_out(path: str) -> None:
    plain = Config(command=("a",))
    left = without(plain, [path])
    changed = {
        one.name for one in fields(plain) if getattr(left, one.name) != getattr(plain, one.name)
    }
    assert changed == ({"security"} if path == "security.seccomp" else set())


def test_one_rlimit_is_left_out_and_the_others_stay() -> None:
    limits = tuple(Rlimit(type=name, soft=1, hard=2) for name in ("CORE", "NOFILE"))
    assert without(Config(command=("a",), rlimits=limits), ["rlimits.nofile"]).rlimits == limits[:1]
    left = without(Config(command=("a",)), ["security.seccomp"])
    assert left.security.seccomp is SeccompMode.UNCONFINED


def test_one_kernel_parameter_is_left_out_by_its_name_with_dots() -> None:
    isolation = Isolation(sysctl={"net.ipv4.a": "1", "net.ipv4.b": "2"})
    left = without(Config(command=("a",), isolation=isolation), ["sysctl.net.ipv4.a"])
    assert left.isolation.sysctl == {"net.ipv4.b": "2"}
    spec = make_spec(isolation=isolation, enforcement={"sysctl": PREFERRED})
    assert is_preferred(spec, "sysctl.net.ipv4.a")


def test_the_host_is_asked_once_for_all_that_ask_the_same() -> None:
    asked = []

    def answer(config: Config) -> list[Unsupported]:
        asked.append(config)
        return []

    specs = [
        make_spec(name, resources=make_resources(pids=1), enforcement={"resources": PREFERRED})
        for name in "abc"
    ]
    leave_out(make_desired(*specs), answer)
    assert len(asked) == 1


def test_the_condition_names_each_field_and_why() -> None:
    status, reason, message = enforced(make_observed(make_spec()), [HIGH], None)
    assert (status, reason) == ("False", "Unenforced")
    assert message == "without resources.memory.high: v1 has none; boot with v2"
    assert enforced(make_observed(make_spec()), [], None)[:2] == ("True", "Enforced")
    assert enforced(None, [], None)[:2] == ("Unknown", "NotRunning")


def test_the_failure_of_a_required_field_is_the_condition() -> None:
    problem = Problem.of(ErrorCode.LimitNotSupported, "cannot enforce it")
    failure = Failure(verb="create", spec_digest="d", count=1, at=0.0, problem=problem)
    assert enforced(None, [], failure) == ("False", "LimitNotSupported", "cannot enforce it")


def test_the_offsets_of_clocks_are_left_out_with_the_clocks() -> None:
    isolation = Isolation(namespaces=Namespaces(time="private"), time_offsets={"boottime": (1, 0)})
    config = Config(command=("a",), isolation=isolation)
    assert without(config, ["namespaces.time"]).isolation == Isolation()
