"""Drift of isolation: what was changed from outside, and not what a program may do by itself."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import ChangeClass, Restart, Update
from reconciler.model.config import NetworkMode, Rlimit, Security
from reconciler.model.frozen import replace
from reconciler.model.isolation import (
    IdMapping,
    IoPriority,
    Isolation,
    NamespaceMode,
    Namespaces,
    Scheduler,
)
from reconciler.model.spec import Drift, DriftPolicy, Spec
from reconciler.planning.diff import diff
from reconciler.planning.isolation import ANOTHER, GONE, is_same_value
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.test_process import AS_STARTED
from tests.unit.planning.world_model import make_desired, make_observed, make_spec, make_world

BLUE = "/run/netns/blue"
PRIVATE = NamespaceMode.PRIVATE


def told(spec: Spec, **shown: Any) -> list[tuple[str, str]]:
    process = AS_STARTED | {path.replace("__", "."): value for path, value in shown.items()}
    found = diff(spec, make_observed(spec, limits={}, process=process), {})
    return [(one.describe(), str(one.policy)) for one in found]


def isolated(**fields: Any) -> Spec:
    return make_spec(isolation=Isolation(**fields))


def test_what_is_as_the_spec_says_does_not_drift() -> None:
    spec = isolated(sysctl={"net.x": "1"}, domainname="d", scheduler=Scheduler(policy="SCHED_IDLE"))
    shown = {"namespaces__pid": "private", "namespaces__user": "host", "sysctl__net.x": "1"}
    assert told(spec, **shown, domainname="d", scheduler=("IDLE", 0, 0)) == []
    assert told(spec) == []


@pytest.mark.parametrize(
    ("shown", "policy"), [(ANOTHER, "enforce"), (GONE, "report"), ("host", "report")]
)
def test_a_joined_namespace_is_joined_anew_while_its_path_leads_to_one(
    shown: str, policy: str
) -> None:
    spec = isolated(namespaces=Namespaces(network=BLUE))
    assert told(spec, namespaces__network=BLUE) == []
    found = [(f"namespaces.network {shown} -> {BLUE}", policy)]
    assert told(spec, namespaces__network=shown) == found


def test_a_private_namespace_that_is_the_hosts_is_only_told_by_the_fields_name() -> None:
    found = told(make_spec(), namespaces__pid="host", namespaces__network="host")
    assert found == [
        ("namespaces.pid host -> private", "report"),
        ("network host -> none", "report"),
    ]
    assert told(make_spec(network=NetworkMode.HOST), namespaces__network=ANOTHER) == [
        (f"network {ANOTHER} -> host", "report")
    ]


def test_interfaces_that_somebody_has_plugged_in_are_only_told() -> None:
    assert told(make_spec(), interfaces=("eth0", "veth1")) == [
        ("network eth0, veth1 -> none", "report")
    ]


def test_a_namespace_of_another_is_mended_by_a_restart() -> None:
    spec = isolated(namespaces=Namespaces(ipc="/run/ipc"))
    observed = make_observed(spec, limits={}, process=AS_STARTED | {"namespaces.ipc": ANOTHER})
    (action,) = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions()).actions
    assert isinstance(action, Restart)


def test_kernel_parameters_are_written_again_in_place() -> None:
    spec = isolated(sysctl={"net.ipv4.x": "1", "net.ipv4.y": "2"})
    process = AS_STARTED | {"sysctl.net.ipv4.x": "0", "sysctl.net.ipv4.y": "2"}
    observed = make_observed(spec, limits={}, process=process)
    (action,) = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions()).actions
    assert isinstance(action, Update)
    (change,) = action.changes
    assert (change.describe(), change.change_class) == (
        "sysctl.net.ipv4.x 0 -> 1",
        ChangeClass.LIVE,
    )


def test_a_parameter_that_the_program_may_write_is_its_own() -> None:
    for locked, count in ((("/proc/bus",), 0), (("/proc/sys", "/proc/bus"), 1), ((), 0)):
        spec = isolated(sysctl={"net.x": "1"}, readonly_paths=locked)
        assert len(told(spec, **{"sysctl__net.x": "0"})) == count


@pytest.mark.parametrize(
    ("written", "shown", "expected"),
    [
        ("1024 65000", "1024 65000", True),
        ("0x10", "16", True),
        ("1,2,3", "1-3", True),
        ("8080,1-3", "1-3,8080", True),
        ("-1", "-1", True),
        ("-1", "1", False),
        ("1", "0", False),
        ("1 2", "1", False),
        ("cubic", "reno", False),
        ("1-99999999", "1-65535", True),
    ],
)
def test_the_kernels_spelling_of_a_value_is_no_difference(
    written: str, shown: str, expected: bool
) -> None:
    assert is_same_value(written, shown) is expected


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (("BATCH", 5, 0), None),
        (("BATCH", 19, 0), None),
        (("IDLE", 0, 0), None),
        (("BATCH", 4, 0), "BATCH nice=4"),
        (("OTHER", 5, 0), "OTHER nice=5"),
        (("FIFO", 0, 3), "FIFO priority=3"),
        (("9", 0, 0), "9 nice=0"),
    ],
)
def test_scheduling_is_told_where_it_is_better_than_given(
    shown: tuple[str, int, int], text: str | None
) -> None:
    one = Isolation(scheduler=Scheduler(policy="SCHED_BATCH", nice=5))
    found = [] if text is None else [(f"scheduler {text} -> BATCH nice=5", "enforce")]
    assert told(make_spec(isolation=one), scheduler=shown) == found
    for fields in (
        {"security": Security(capabilities=("SYS_NICE",))},
        {"rlimits": (Rlimit(type="NICE", soft=20, hard=20),)},
    ):
        assert told(make_spec(isolation=one, **fields), scheduler=shown) == []


@pytest.mark.parametrize(
    ("policy", "shown", "is_told"),
    [
        ("FIFO", ("FIFO", 0, 10), False),
        ("FIFO", ("FIFO", 0, 9), False),
        ("FIFO", ("OTHER", -20, 0), False),
        ("FIFO", ("RR", 0, 11), True),
        ("RR", ("DEADLINE", 0, 0), True),
        ("DEADLINE", ("DEADLINE", 0, 0), False),
    ],
)
def test_a_real_time_priority_above_the_given_one_is_told(
    policy: str, shown: tuple[str, int, int], is_told: bool
) -> None:
    spec = isolated(scheduler=Scheduler(policy=f"SCHED_{policy}", priority=10))
    assert len(told(spec, scheduler=shown)) == is_told


@pytest.mark.parametrize(
    ("io_class", "shown", "is_told"),
    [
        ("BE", ("BE", 4), False),
        ("BE", ("BE", 7), False),
        ("BE", ("IDLE", 0), False),
        ("BE", ("none", 0), False),
        ("BE", ("BE", 3), True),
        ("BE", ("RT", 7), True),
        ("IDLE", ("none", 4), True),
        ("IDLE", ("IDLE", 0), False),
        ("RT", ("BE", 0), False),
    ],
)
def test_io_is_told_where_it_comes_before_what_was_given(
    io_class: str, shown: tuple[str, int], is_told: bool
) -> None:
    spec = isolated(io_priority=IoPriority(io_class=f"IOPRIO_CLASS_{io_class}", priority=4))
    assert len(told(spec, ioPriority=shown)) == is_told


def test_groups_maps_and_labels_are_only_told() -> None:
    one = IdMapping(container_id=0, host_id=5000, size=10)
    spec = isolated(
        namespaces=Namespaces(user=PRIVATE), uid_mappings=(one,), apparmor_profile="web"
    )
    found = told(
        spec,
        groups=("27",),
        uidMappings=("0:0:4294967295",),
        security__apparmorProfile="unconfined",
    )
    assert found == [
        ("uidMappings [0:0:4294967295] -> [0:5000:10]", "report"),
        ("groups [27] -> []", "report"),
        ("security.apparmorProfile unconfined -> web", "report"),
    ]
    child = {"uidMappings": ("0:5000:10",), "security__apparmorProfile": "web//sh"}
    assert told(spec, **child) == []


def test_groups_that_a_program_may_take_are_its_own() -> None:
    for security in (Security(capabilities=("SETGID",)), Security(no_new_privileges=False)):
        assert told(make_spec(security=security), groups=("27",)) == []


def test_policies_are_for_these_fields_too() -> None:
    drift = Drift(policy=DriftPolicy.REPORT, fields={"groups": DriftPolicy.IGNORE})
    spec = replace(isolated(sysctl={"net.x": "1"}), drift=drift)
    assert told(spec, groups=("27",), **{"sysctl__net.x": "0"}) == [
        ("sysctl.net.x 0 -> 1", "report"),
        ("groups [27] -> []", "ignore"),
    ]


def test_an_edit_of_isolation_leaves_the_rest_to_the_new_run() -> None:
    old, new = isolated(sysctl={"net.x": "1"}), isolated(sysctl={"net.x": "2"})
    observed = make_observed(old, limits={}, process=AS_STARTED | {"sysctl.net.x": "0"})
    assert [one.describe() for one in diff(new, observed, {})] == ["sysctl.net.x 1 -> 2"]
