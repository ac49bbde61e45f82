"""Each kind of difference is found, classed and spelled; and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.config import Mount, MountType, Rootfs
from reconciler.model.frozen import replace
from reconciler.model.spec import Backoff, DesiredState, Kind, Restart, RestartPolicy, Stop
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.diff import diff
from tests.unit.planning.world_model import limits_of, make_observed, make_resources, make_spec

MIB = 2**20


def changes(spec: Any, observed: Observed) -> list[tuple[str, Any, Any, str]]:
    return [
        (one.field, one.desired, one.observed, one.change_class.value)
        for one in diff(spec, observed, limits_of(spec))
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"command": ("/bin/b",)}, ("command", ("/bin/b",), ("/bin/server",), "restart")),
        ({"env": {"PORT": "80"}}, ("env.PORT", "80", None, "restart")),
        ({"workdir": "/srv"}, ("workdir", "/srv", "/", "restart")),
        ({"user": "1:2"}, ("user", "1:2", "65534:65534", "restart")),
        ({"hostname": "h"}, ("hostname", "h", None, "restart")),
        ({"oom_score_adj": 5}, ("oomScoreAdj", 5, None, "restart")),
        (
            {"mounts": (Mount(type=MountType.TMPFS, target="/t", size_bytes=0),)},
            ("mounts", ("type=tmpfs target=/t size_bytes=0",), (), "restart"),
        ),
        ({"kind": Kind.JOB}, ("kind", "Job", "Container", "recreate")),
        ({"rootfs": Rootfs(readonly=False)}, ("rootfs.readonly", False, True, "recreate")),
        ({"labels": {"a.b/c": "1"}}, ("labels.a.b/c", "1", None, "record")),
        (
            {"restart": Restart(policy=RestartPolicy.NEVER)},
            ("restart.policy", "never", "always", "record"),
        ),
        (
            {"restart": Restart(backoff=Backoff(max_ns=90 * 10**9))},
            ("restart.backoff.max", "1m30s", "30s", "record"),
        ),
        ({"stop": Stop(signal="INT")}, ("stop.signal", "INT", "TERM", "record")),
        (
            {"resources": make_resources(memory=256 * MIB)},
            ("resources.memory.max", "256Mi", None, "live"),
        ),
        ({"resources": make_resources(cpu=1500)}, ("resources.cpu.max", "1500m", None, "live")),
        ({"state": DesiredState.PAUSED}, ("state", "paused", "running", "live")),
    ],
)
def test_one_changed_field_is_one_change_as_a_spec_would_spell_it(
    fields: dict[str, Any], expected: tuple[str, Any, Any, str]
) -> None:
    assert changes(make_spec(**fields), make_observed(make_spec())) == [expected]


def test_what_is_equal_in_meaning_is_no_change() -> None:
    observed = make_observed(make_spec(user=None, env={"A": "1", "B": "2"}))
    spec = make_spec(user="65534:65534", env={"B": "2", "A": "1"}, digest="another")
    assert changes(spec, observed) == []


def test_a_limit_is_compared_with_what_the_kernel_shows() -> None:
    spec = make_spec(resources=make_resources(memory=256 * MIB))
    observed = make_observed(spec, limits=limits_of(spec) | {"resources.memory.max": 64 * MIB})
    assert changes(spec, observed) == [("resources.memory.max", "256Mi", "64Mi", "live")]


def test_a_limit_that_the_kernel_rounds_to_pages_is_no_drift() -> None:
    spec = make_spec(resources=make_resources(memory=100_000_001))
    assert changes(spec, make_observed(spec)) == []


def test_a_limit_that_the_kernel_has_already_needs_only_the_record() -> None:
    spec = make_spec(resources=make_resources(memory=100_000_001))
    observed = make_observed(make_spec(resources=make_resources(memory=100_000_002)))
    assert [one.change_class for one in diff(spec, observed, limits_of(spec))] == [
        ChangeClass.RECORD
    ]


def test_a_limit_that_cannot_be_observed_is_applied_once_by_the_record_and_then_left() -> None:
    spec = make_spec(resources=make_resources(pids=10))
    hidden = make_observed(make_spec(), limits={})
    assert changes(spec, hidden) == [("resources.pids.max", 10, None, "live")]
    assert changes(spec, make_observed(spec, limits={})) == []


def test_a_removed_limit_is_a_change_to_none() -> None:
    observed = make_observed(make_spec(resources=make_resources(pids=10)))
    assert changes(make_spec(), observed) == [("resources.pids.max", None, 10, "live")]


@pytest.mark.parametrize("status", [Status.STOPPED, Status.CREATED])
def test_without_processes_limits_are_compared_by_the_record(status: Status) -> None:
    spec = make_spec(resources=make_resources(pids=10))
    observed = make_observed(make_spec(), status)
    assert changes(spec, observed) == [("resources.pids.max", 10, None, "record")]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.RUNNING, []),
        (Status.PAUSED, [("state", "running", "paused", "live")]),
        (Status.PAUSING, [("state", "running", "paused", "live")]),
        (Status.STOPPED, []),  # the restart policy's to judge
    ],
)
def test_the_state_is_compared_with_the_kernels_while_there_are_processes(
    status: Status, expected: list[Any]
) -> None:
    assert changes(make_spec(), make_observed(make_spec(), status)) == expected


def test_a_state_that_the_kernel_has_already_is_still_recorded() -> None:
    """Else the last good spec of a file that becomes invalid would pause the container again."""
    observed = make_observed(make_spec(state=DesiredState.PAUSED), Status.RUNNING)
    assert changes(make_spec(), observed) == [("state", "running", "paused", "record")]


def test_a_container_that_moved_to_another_source_is_a_change_of_the_record() -> None:
    observed = make_observed(make_spec(source="/usr/lib/specs"))
    assert changes(make_spec(), observed) == [
        ("source", "/etc/specs/web.yaml", "/usr/lib/specs/web.yaml", "record")
    ]


def test_a_container_that_is_not_our_own_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="internal error"):
        diff(make_spec(), replace(make_observed(make_spec()), spec=None), {})


def test_a_change_describes_itself_for_people_and_programs() -> None:
    change = FieldChange(
        field="user", desired="1000:1000", observed=None, change_class=ChangeClass.RESTART
    )
    assert change.describe() == "user none -> 1000:1000"
    assert change.to_json() == {
        "field": "user",
        "desired": "1000:1000",
        "observed": None,
        "class": "restart",
    }
