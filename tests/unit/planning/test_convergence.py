"""Whatever is desired and whatever is there: carried out by a perfect engine, plans converge."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ErrorCode
from reconciler.model.config import Mount, MountType, Rootfs
from reconciler.model.frozen import replace
from reconciler.model.health import Health, ProbeResult, probe_identity
from reconciler.model.spec import (
    NS,
    Backoff,
    DesiredState,
    Drift,
    DriftPolicy,
    Kind,
    Probe,
    Probes,
    Prune,
    PruneMode,
    Reaction,
    ReactionKind,
    Reference,
    Restart,
    RestartPolicy,
    Spec,
    Suspend,
)
from reconciler.model.state import Status
from reconciler.model.world import (
    Desired,
    Failure,
    Observed,
    Problem,
    RestartMemory,
    Source,
    SourceStatus,
    World,
)
from reconciler.planning.diff import diff
from reconciler.planning.plan import PlanOptions, make_plan
from reconciler.planning.references import due_reactions, hold_references
from tests.unit.planning.world_model import (
    NOW,
    SOURCE,
    all_limits,
    apply_plan,
    limits_of,
    make_exit,
    make_observed,
    make_resources,
    make_spec,
)

PROBE = Probe(unix="/s")
# Of the run that a container of the model has until it is started again.
UNHEALTHY = Health(
    pid=100,
    started_at=NOW - 3600,
    liveness=ProbeResult(passes=False, failures=3, check=probe_identity(PROBE)),
)
NAMES = ["a", "b", "c", "d", "e"]
OTHER = "/srv/other"
FOREIGN = "/srv/foreign"
MAX_PASSES = 3
REACTIONS = [
    Reaction(kind=ReactionKind.IGNORE),
    Reaction(kind=ReactionKind.RESTART),
    Reaction(kind=ReactionKind.SIGNAL, signal="HUP"),
    Reaction(kind=ReactionKind.EXEC, command=("/bin/reload",)),
]

backoffs = st.builds(
    Backoff,
    initial_ns=st.integers(0, 10**10),
    factor=st.floats(1, 10),
    max_ns=st.integers(0, 10**11),
    jitter=st.floats(0, 1),
)


suspends = st.sampled_from([None] * 6 + [Suspend(), Suspend(until=NOW), Suspend(until=NOW + 9)])
processes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "user": st.sampled_from([(0, 0, 0), (5, 5, 5)]),
        "security.capabilities": st.sampled_from([(), ("CHOWN",)]),
        "security.noNewPrivileges": st.booleans(),
        "security.seccomp": st.sampled_from(["default", "unconfined"]),
        "oomScoreAdj": st.sampled_from([0, 5]),
        "hostname": st.sampled_from(["a", "other"]),
    }
) | st.just({})
restarts = st.builds(
    Restart,
    policy=st.sampled_from(list(RestartPolicy)),
    backoff=backoffs,
    reset_after_ns=st.none() | st.integers(0, 10**12),
    max_attempts=st.none() | st.integers(1, 5),
    permanent_exit_codes=st.sampled_from([(), (1,), (0, 2)]),
)


drifts = st.builds(
    Drift,
    policy=st.sampled_from(list(DriftPolicy)),
    fields=st.dictionaries(
        st.sampled_from(["state", "resources", "resources.pids.max", "hostname"]),
        st.sampled_from(list(DriftPolicy)),
        max_size=2,
    ),
)
prunes = st.builds(
    Prune, mode=st.sampled_from(list(PruneMode)), ttl_ns=st.sampled_from([0, 60 * NS])
)


@st.composite
def references(draw: st.DrawFn, env: dict[str, str]) -> tuple[Reference, ...]:
    """An env file that gives all variables, and a directory that is mounted; either may be no
    reference."""
    found = [
        Reference(
            path=path,
            reaction=draw(st.sampled_from(REACTIONS)),
            digest=draw(st.sampled_from([None, "1", "2"])),
            env_names=tuple(sorted(env)) if path == "/a.env" else (),
        )
        for path in ("/a.env", "/conf")
    ]
    return tuple(one for one in found if draw(st.booleans()))


@st.composite
def specs(draw: st.DrawFn, name: str, sources: list[str]) -> Spec:
    env = draw(st.dictionaries(st.sampled_from("XY"), st.sampled_from("12"), max_size=2))
    return make_spec(
        name,
        digest=draw(st.sampled_from(["d1", "d2"])),
        source=draw(st.sampled_from(sources)),
        command=(draw(st.sampled_from(["/bin/a", "/bin/b"])),),
        env=env,
        references=draw(references(env)),
        mounts=(Mount(type=MountType.BIND, source="/conf", target="/conf"),),
        rootfs=Rootfs(readonly=draw(st.booleans())),
        resources=make_resources(
            memory=draw(st.none() | st.integers(4096, 20_000)), pids=draw(st.none() | st.just(5))
        ),
        oom_score_adj=draw(st.sampled_from([None, 0, 5])),
        kind=draw(st.sampled_from(list(Kind))),
        labels=draw(st.dictionaries(st.just("l"), st.sampled_from("12"), max_size=1)),
        state=draw(st.sampled_from(list(DesiredState))),
        restart=draw(restarts),
        suspend=draw(suspends),
        deadline_ns=draw(st.none() | st.just(7000 * 10**9)),
        probes=Probes(liveness=draw(st.none() | st.just(PROBE))),
        drift=draw(drifts),
        prune=draw(prunes),
    )


@st.composite
def containers(draw: st.DrawFn, name: str) -> Observed:
    """A container of ours or of others, in any state, with drift of every kind."""
    spec = draw(specs(name, [SOURCE, OTHER, FOREIGN]))
    status = draw(st.sampled_from([one for one in Status if one is not Status.DESTROYED]))
    fields: dict[str, Any] = {
        "memory": RestartMemory(
            count=draw(st.integers(0, 9)),
            failures=draw(st.integers(0, 9)),
            is_stopped=draw(st.booleans()),
            is_overdue=draw(st.booleans()),
            failed_probe=draw(st.none() | st.just("its liveness probe failed once: no")),
        )
    }
    if draw(st.integers(0, 5)) == 0:
        fields["spec"] = None
    if status.has_processes():
        shown = limits_of(spec)
        if draw(st.booleans()):
            shown["resources.pids.max"] = draw(st.none() | st.just(7))
        if draw(st.booleans()):
            del shown["resources.memory.max"]
        fields["limits"] = shown
        fields["process"] = draw(processes)
    if status is Status.STOPPED:
        at = NOW + draw(st.floats(-1000, 1000))
        fields["last_exit"] = draw(
            st.none() | st.sampled_from([0, 1, None]).map(lambda code: make_exit(code, at=at))
        )
    fields["suspend"] = draw(suspends)
    fields["paused_at"] = draw(st.none() | st.just(NOW - 5))
    fields["frozen_at"] = draw(st.none() | st.just(NOW - 5) | st.just(NOW - 90))
    fields["has_cgroup"] = draw(st.sampled_from([True] * 5 + [False]))
    fields["unmounted"] = draw(st.sampled_from([()] * 5 + [("/tmp",)]))
    fields["detached"] = draw(st.sampled_from([frozenset(), frozenset({"/conf"})]))
    fields["strangers"] = draw(st.sampled_from([()] * 5 + [("4711 sh",)]))
    fields["is_rebooted"] = draw(st.booleans())
    return replace(make_observed(spec, status), **fields)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Desired, World, PlanOptions]:
    wanted = draw(st.lists(st.sampled_from(NAMES), unique=True))
    existing = draw(st.lists(st.sampled_from(NAMES), unique=True))
    broken = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=1))
    problem = Problem.of(ErrorCode.RecordCorrupt, "cannot understand it")
    failure = Failure(verb="start", spec_digest="d1", count=2, at=NOW - 1, problem=problem)
    desired = Desired(
        specs={name: draw(specs(name, [SOURCE, OTHER])) for name in wanted},
        sources=tuple(
            Source(path=path, status=draw(st.sampled_from(list(SourceStatus))))
            for path in (SOURCE, OTHER)
        ),
        invalid=frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=2))),
        unknown_files=tuple(draw(st.lists(st.just(f"{OTHER}/x.yaml"), max_size=1))),
    )
    world = World(
        containers={name: draw(containers(name)) for name in existing if name not in broken},
        unobserved=dict.fromkeys(broken, problem),
        failures=dict.fromkeys(draw(st.lists(st.sampled_from(NAMES), max_size=2)), failure),
        health=dict.fromkeys(draw(st.lists(st.sampled_from(NAMES), max_size=2)), UNHEALTHY),
        now=NOW,
    )
    options = PlanOptions(
        prune=draw(st.booleans()),
        allow_empty=draw(st.booleans()),
        max_prune_percent=draw(st.sampled_from([0, 50, 100])),
        retry_failed=draw(st.booleans()),
    )
    return desired, world, options


def is_ours(observed: Observed | None) -> bool:
    return observed is None or observed.source in (SOURCE, OTHER)


@given(cases())
def test_plans_converge_in_three_passes_and_touch_only_what_is_ours(
    case: tuple[Desired, World, PlanOptions],
) -> None:
    desired, world, options = case
    for _ in range(MAX_PASSES):
        plan = make_plan(desired, world, all_limits(desired, world), options)
        names = [action.name for action in plan.actions]
        assert len(names) == len(set(names))
        assert not set(names) & {wait.name for wait in plan.waits}
        assert all(is_ours(world.containers.get(name)) for name in names)
        assert not set(names) & plan.suspended.keys()
        world = apply_plan(plan, world)
    last = make_plan(desired, world, all_limits(desired, world), options)
    assert last.actions == ()


def is_left_by_policy(spec: Spec, path: str) -> bool:
    """Tell whether the policy, or that nothing could mend it, leaves a difference as it is."""
    cannot_be_mended = ("user", "security.", "processes")
    return path.startswith(cannot_be_mended) or (
        spec.drift.policy_of(path) is not DriftPolicy.ENFORCE
    )


@given(cases())
def test_after_convergence_every_spec_is_in_force_or_is_waited_for(
    case: tuple[Desired, World, PlanOptions],
) -> None:
    desired, world, options = case
    for _ in range(MAX_PASSES):
        plan = make_plan(desired, world, all_limits(desired, world), options)
        world = apply_plan(plan, world)
    waited = {wait.name for wait in plan.waits}
    for name, current in desired.specs.items():
        observed = world.containers.get(name)
        if (
            name in waited
            or name in plan.suspended
            or (observed is not None and not is_ours(observed))
        ):
            continue
        assert observed is not None
        assert observed.spec is not None
        spec = current
        if due_reactions(current, observed):
            assert observed.status is not Status.RUNNING
            spec = hold_references(current, observed)
        assert observed.config == spec.config
        unmended = {
            change.field
            for change in diff(spec, observed, limits_of(spec))
            if change.policy in (DriftPolicy.REPORT, DriftPolicy.IGNORE)
        }
        assert {one.field for one in plan.reported.get(name, ())} <= unmended
        assert all(is_left_by_policy(spec, path) for path in unmended)
        if observed.status.has_processes():
            assert observed.frozen_at is None
            state = observed.status.value.replace("pausing", "paused")
            is_wanted = state == spec.state.value or (state == "paused" and observed.paused_at)
            assert is_wanted or "state" in unmended
            assert observed.limits.items() >= {
                (path, value)
                for path, value in limits_of(spec).items()
                if path in observed.limits and path not in unmended
            }


@given(cases())
def test_planning_changes_nothing_that_it_was_given(
    case: tuple[Desired, World, PlanOptions],
) -> None:
    before = copy.deepcopy(case)
    desired, world, options = case
    first = make_plan(desired, world, all_limits(desired, world), options)
    assert (desired, world, options) == before
    assert make_plan(desired, world, all_limits(desired, world), options) == first
