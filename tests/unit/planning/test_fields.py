"""The table of fields has a row for each field that there is, in the model and in the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from reconciler.model.config import IoDeviceLimits, Mount, MountType, Rlimit
from reconciler.model.frozen import fields, is_frozen
from reconciler.model.isolation import Hook, Hooks, Isolation, MemoryPolicy, Namespaces, Scheduler
from reconciler.model.spec import Drift, DriftPolicy, Enforcement, HttpCheck, Probe, Spec, TcpCheck
from reconciler.planning.fields import FIELDS, ISOLATION_ROWS, Field, spell_io, spell_plain
from reconciler.planning.probe_text import spell_probe
from tests.unit.planning.world_model import ENGINE_ONLY, make_resources, make_spec

SCHEMA = Path(__file__).parents[3] / "schemas" / "container.schema.json"
# What names and places a spec, and is no part of what the container is to be.
IDENTITY = {"name", "origin.line", "origin.column", "digest"}


_IN_ROWS = {
    *(*ISOLATION_ROWS, "sysctl", "uid_mappings", "gid_mappings", "time_offsets", "cpu_affinity"),
    *("net_devices", "annotations", "hooks", "devices", "no_pivot"),
}
_WHOLE = (
    "capabilities",
    "rlimits",
    "suspend",
    "scheduler",
    "ioPriority",
    "memoryPolicy",
    "timeOffsets",
)


def leaves_of(cls: type, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(cls)
    for item in fields(cls):
        if is_frozen(hints[item.name]):
            yield from leaves_of(hints[item.name], f"{prefix}{item.name}.")
        elif cls is Isolation and item.name not in _IN_ROWS:
            continue  # in the row `isolation`
        else:
            yield prefix + item.name


def schema_leaves(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, child in node["properties"].items():
        if "properties" in child and name not in _WHOLE:
            yield from schema_leaves(child, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_field_of_the_model_has_a_row() -> None:
    leaves = set(leaves_of(Spec))
    assert {row.attribute for row in FIELDS} == (leaves - IDENTITY) | {"config.isolation"}


def test_what_a_user_of_the_engine_adds_to_isolation_is_seen_and_what_has_a_row_only_there() -> (
    None
):
    [rest] = [row for row in FIELDS if row.path == "isolation"]
    bare = make_spec()
    for change, is_rest in (
        ({"mount_label": "x"}, True),
        ({"hooks": Hooks(poststop=(Hook(path="/bin/true"),))}, False),
        ({"umask": 0o77, "sysctl": {"a.b": "1"}, "namespaces": Namespaces(pid="host")}, False),
        (dict.fromkeys(ISOLATION_ROWS, "x"), False),
    ):
        spec = make_spec(isolation=Isolation(**change))
        [(_, one, other)] = rest.values(spec, bare)
        assert (one != other) is is_rest, change


def test_every_field_of_the_schema_has_a_row_under_its_own_path() -> None:
    if not SCHEMA.exists():
        pytest.skip("schemas/container.schema.json is not there")
    paths = set(schema_leaves(json.loads(SCHEMA.read_text())))
    # `source` is where the file was found, `references` are files that mounts and envFile name;
    # `envFile` becomes a part of `env`, `logs` is a field of its own in the form `none`,
    # `security.seccomp` one as a text, `security.capabilities` in another form, and `isolation` is
    # not for spec files.
    elsewhere = {"source", "references", "logs", "security.seccomp", "isolation"} | ENGINE_ONLY
    elsewhere.add("security.capabilities.sets")
    assert {row.path for row in FIELDS} - elsewhere == paths - {"apiVersion", "name", "envFile"}


def test_no_field_has_two_rows() -> None:
    assert len({row.path for row in FIELDS}) == len(FIELDS)
    assert len({row.attribute for row in FIELDS}) == len(FIELDS)


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: str(row.path))
def test_a_spec_does_not_differ_from_itself_in_any_row(row: Field) -> None:
    spec = make_spec(
        env={"A": "1"},
        labels={"b": "2"},
        isolation=Isolation(
            sysctl={"net.core.somaxconn": "1"},
            time_offsets={"monotonic": (-1, 500_000_000)},
            net_devices={"eth1": "eth0"},
            annotations={"a": "b"},
        ),
        resources=make_resources(4096, 5, 1000),
        drift=Drift(fields={"state": DriftPolicy.IGNORE}),
        enforcement={"rlimits": Enforcement.PREFERRED},
    )
    values = list(row.values(spec, spec))
    assert values
    assert all(left == right for _, left, right in values)


def test_an_object_is_spelled_with_all_that_is_set_in_it_zero_included() -> None:
    mount = Mount(type=MountType.BIND, source="/a", target="/b", options=("ro", "nosuid"))
    assert spell_plain(mount) == "type=bind target=/b source=/a options=ro,nosuid"
    assert spell_plain(Rlimit(type="NOFILE", soft=0, hard=None)) == "type=NOFILE soft=0"


def test_a_probe_is_spelled_as_a_spec_file_writes_it_with_every_field() -> None:
    http = HttpCheck(port=80, path="/a", host="::1", headers={"X-A": "b"})
    assert spell_probe(Probe(http=http, interval_ns=90 * 10**9)) == (
        "http: {port: 80, path: /a, host: ::1, headers: {X-A: (sha256 3e23e8160039)}}, "
        "initialDelay: 0s, "
        "interval: 1m30s, timeout: 1s, failureThreshold: 3, successThreshold: 1"
    )
    for probe, check in (
        (Probe(exec=("a", "b")), "exec: [a, b]"),
        (Probe(tcp=TcpCheck(port=1)), "tcp: {port: 1, host: 127.0.0.1}"),
        (Probe(unix="/s"), "unix: /s"),
    ):
        assert spell_probe(probe).startswith(f"{check}, initialDelay: ")


def test_throttles_are_spelled_alike_from_the_spec_and_from_the_kernel() -> None:
    from_spec = (IoDeviceLimits(device="254:0", read_bytes=1024, write_ops=0),)
    from_kernel = (("254:0", 1024, None, None, 0),)
    assert (
        spell_io(from_spec)
        == spell_io(from_kernel)
        == ("device=254:0 read_bytes=1024 write_ops=0",)
    )


def test_scheduling_and_clocks_are_spelled_as_a_spec_file_writes_them() -> None:
    rows = {row.path: row for row in FIELDS}
    scheduler = Scheduler(
        policy="SCHED_DEADLINE",
        runtime_ns=5_000_000,
        deadline_ns=20_000_000,
        flags=("SCHED_FLAG_RESET_ON_FORK",),
    )
    assert rows["scheduler"].spell(scheduler) == (
        "DEADLINE runtime=5ms deadline=20ms flags=RESET_ON_FORK"
    )
    assert rows["scheduler"].spell(Scheduler(policy="SCHED_FIFO", priority=7)) == "FIFO priority=7"
    policy = MemoryPolicy(mode="MPOL_BIND", nodes="0-1", flags=("MPOL_F_STATIC_NODES",))
    assert rows["memoryPolicy"].spell(policy) == "BIND nodes=0-1 flags=STATIC_NODES"
    hook = Hook(path="/bin/up", args=("./up", "-v"), env=("A=1",), timeout_s=1.5)
    assert rows["hooks.poststart"].spell((hook,)) == (
        "/bin/up -v timeout=1s500ms env=(sha256 f1d316d33044)",
    )
    offset = make_spec(isolation=Isolation(time_offsets={"monotonic": (-1, 500_000_000)}))
    assert list(rows["timeOffsets"].values(offset, make_spec())) == [
        ("timeOffsets.monotonic", "-500ms", None)
    ]
