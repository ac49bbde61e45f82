from __future__ import annotations

import pytest

from reconciler.model.codec import from_dict, spec_digest, to_compact, to_dict
from reconciler.model.config import (
    Config,
    IoDeviceLimits,
    IoLimits,
    MemoryLimits,
    Mount,
    MountType,
    Resources,
    Rlimit,
)
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.spec import Kind, Origin, Spec
from reconciler.model.state import ExitStatus, OomMemory, ProcessId

CONFIG = Config(
    command=("sleep", "10"),
    env={"PORT": "8080", "HOME": "/"},
    mounts=(Mount(type=MountType.TMPFS, target="/tmp", options=("ro",), size_bytes=0),),
    resources=Resources(
        memory=MemoryLimits(max_bytes=2**20, swap_bytes=0),
        io=IoLimits(max=(IoDeviceLimits(device="8:0", read_ops=5),)),
    ),
    rlimits=(Rlimit(type="CORE", soft=0, hard=None),),
)
SPEC = Spec(name="a", config=CONFIG, kind=Kind.JOB, origin=Origin(file="/a.yaml"), digest="x")
RECORD = Record(
    id="a",
    config=CONFIG,
    created_at=1.5,
    cgroups={"unified": "/sys/fs/cgroup/x"},
    init=ProcessId(pid=1, start_ticks=2, boot_id="b"),
    exit=ExitStatus(code=None, signal=9, oom=True, at=2.5, memory=OomMemory(peak_bytes=7)),
)


@pytest.mark.parametrize("value", [CONFIG, SPEC, RECORD])
def test_a_value_comes_back_from_its_dict_and_from_its_compact_dict(value: object) -> None:
    assert from_dict(type(value), to_dict(value)) == value
    assert from_dict(type(value), to_compact(value)) == value


def test_a_compact_dict_has_what_differs_from_the_defaults_alone() -> None:
    assert to_compact(Config(command=("a",))) == {"command": ["a"]}
    assert to_compact(CONFIG)["resources"] == {
        "memory": {"max_bytes": 2**20, "swap_bytes": 0},
        "io": {"max": [{"device": "8:0", "read_ops": 5}]},
    }


@pytest.mark.parametrize("data", [None, [], "text", {"command": ["a"], "unknown": 1}, {}])
def test_data_that_does_not_fit_the_class_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a Config"):
        from_dict(Config, data)


def test_equal_specs_have_equal_digests_in_any_order_of_keys() -> None:
    other = replace(SPEC, config=replace(CONFIG, env={"HOME": "/", "PORT": "8080"}))
    assert spec_digest(other) == spec_digest(SPEC)
    assert len(spec_digest(SPEC)) == 32


def test_another_config_makes_another_digest() -> None:
    changed = [
        replace(CONFIG, command=("sleep", "11")),
        replace(CONFIG, env={}),
        replace(CONFIG, rlimits=()),
        replace(CONFIG, user="0"),
    ]
    specs = [SPEC, *(replace(SPEC, config=config) for config in changed)]
    assert len({spec_digest(spec) for spec in specs}) == 5


def test_the_digest_of_a_spec_is_over_all_but_its_origin_and_itself() -> None:
    moved = replace(SPEC, origin=Origin(file="/b.yaml", line=7), digest="")
    assert spec_digest(moved) == spec_digest(SPEC)
    assert spec_digest(replace(SPEC, labels={"a": "b"})) != spec_digest(SPEC)
    assert spec_digest(replace(SPEC, kind=Kind.CONTAINER)) != spec_digest(SPEC)
    assert spec_digest(replace(SPEC, config=replace(CONFIG, user="0"))) != spec_digest(SPEC)


def test_digests_stay_the_same_between_versions_or_every_job_would_run_again() -> None:
    config, origin = Config(command=("a",)), Origin(file="/a.yaml")
    spec = Spec(name="a", config=config, kind=Kind.JOB, origin=origin, digest="")
    assert spec_digest(spec) == "243666238fc7bbd8224d2031c8393e9d"
