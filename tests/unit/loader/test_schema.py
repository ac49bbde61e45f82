"""Schema, model and defaults are one: each is walked beside the other."""

from __future__ import annotations

import re
import typing
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.linux.capabilities import NAMES as CAPABILITIES
from reconciler.loader import load_schema
from reconciler.loader.formats import _FORMATS
from reconciler.loader.schema import inline_references, make_validator
from reconciler.model.config import (
    Config,
    CpuLimits,
    IoLimits,
    LogLimits,
)
from reconciler.model.frozen import MISSING, Field, fields, is_frozen
from reconciler.model.isolation import Isolation, Namespaces
from reconciler.model.spec import Spec
from tests.unit.loader.samples import FULL, spec_of

# What the model has beside the schema, and the other way round.
ONLY_MODEL = {
    Spec: {"config", "origin", "digest", "references"},
    Config: {"isolation"},
    CpuLimits: {
        *("quota_us", "shares"),
    },
    IoLimits: {"blkio_weight", "blkio_weights"},
    LogLimits: {"is_kept"},  # `logs: none`
    Namespaces: {"mount"},
}
# Fields of Isolation that a file has, by where it has them; the others are the engine's alone.
ISOLATION: dict[tuple[str, ...], set[str]] = {
    (): {
        *("domainname", "namespaces", "sysctl", "umask", "scheduler", "io_priority"),
        *("masked_paths", "readonly_paths", "uid_mappings", "gid_mappings"),
        *("time_offsets", "personality", "memory_policy", "annotations", "net_devices"),
    },
    ("rootfs",): {"rootfs_propagation", "no_pivot"},
    ("security",): {"apparmor_profile", "selinux_label"},
}
RENAMED = {
    "propagation": "rootfs_propagation",
    "class": "io_class",
    "containerID": "container_id",
    "hostID": "host_id",
}
# In `env` and `references` by then, in two fields of Isolation, and in another form.
ONLY_SCHEMA = {"apiVersion", "envFile", "onChange", "cpuAffinity", "hooks", "devices"}
# Fields that go with others of theirs, and these.
NEEDED: dict[str, dict[str, Any]] = {
    "ioPriority": {"class": "BE"},
    "scheduler": {"policy": "BATCH"},
    "memoryPolicy": {"mode": "DEFAULT"},
}
KEYED_BY_NAME = {"rlimits", "dependsOn"}
SUFFIXES = {"size": "_bytes", "duration-go": "_ns", "cpu-amount": "_milli"}


@dataclass(frozen=True)
class Pair:
    """A property of the schema and the field of the model that holds it."""

    path: tuple[str, ...]
    schema: dict[str, Any]
    field: Field
    hint: Any


def inlined() -> dict[str, Any]:
    schema: dict[str, Any] = inline_references(load_schema(), load_schema()["$defs"])
    return schema


def field_name(name: str, schema: dict[str, Any], known: Container[str]) -> str:
    if name in RENAMED:
        return RENAMED[name]
    snake = re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
    if f"{snake}_us" in known:
        return f"{snake}_us"
    suffix = SUFFIXES.get(schema.get("format", ""), "")
    return snake if snake.endswith(suffix) else snake + suffix


def item_class(hint: Any) -> Any:
    """Return the dataclass of a field, of a tuple's items, or None."""
    candidates = [hint, *typing.get_args(hint)]
    return next((item for item in candidates if is_frozen(item)), None)


def properties_of(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("items", schema).get("properties", {})
    return found


def pair_up(
    properties: dict[str, Any], classes: list[Any], path: tuple[str, ...]
) -> Iterator[Pair]:
    """Yield all pairs below `path`, and fail on what has no partner."""
    properties = {k: v for k, v in properties.items() if k not in ONLY_SCHEMA}
    of_isolation = ISOLATION.get(path, set())
    known = {item.name: (item, cls) for cls in classes for item in fields(cls)}
    known |= {one.name: (one, Isolation) for one in fields(Isolation) if one.name in of_isolation}
    names = {name: field_name(name, schema, known) for name, schema in properties.items()}
    extra = set[str]().union(*(ONLY_MODEL.get(cls, set()) for cls in classes))
    assert set(names.values()) == known.keys() - extra, f"schema and model differ at {path}"
    for name, schema in properties.items():
        item, cls = known[names[name]]
        hint = typing.get_type_hints(cls)[item.name]
        yield Pair((*path, name), schema, item, hint)
        inner = item_class(hint)
        if inner is not None and name not in KEYED_BY_NAME:
            yield from pair_up(properties_of(schema), [inner], (*path, name))


def all_pairs() -> list[Pair]:
    return list(pair_up(inlined()["properties"], [Spec, Config], ()))


def test_each_property_has_a_field_of_the_model_and_the_other_way_round() -> None:
    assert len(all_pairs()) > 50


@pytest.mark.parametrize("pair", all_pairs(), ids=lambda pair: ".".join(pair.path))
def test_schema_and_model_agree_on_whether_there_is_a_default(pair: Pair) -> None:
    model = pair.field.make_default()
    has_default = model is not MISSING and model is not None
    assert has_default == ("default" in pair.schema)


def defaults() -> Iterator[tuple[tuple[str, ...], Any]]:
    yield ("apiVersion",), inlined()["properties"]["apiVersion"]["default"]
    for pair in all_pairs():
        if "default" in pair.schema:
            yield pair.path, pair.schema["default"]


@pytest.mark.parametrize(("path", "default"), list(defaults()), ids=str)
def test_giving_a_default_is_the_same_as_leaving_it_out(
    path: tuple[str, ...], default: Any
) -> None:
    import json

    bare: dict[str, Any] = {"command": ["x"]}
    given: dict[str, Any] = {"command": ["x"]}
    if path[0] == "probes" and len(path) > 2:
        checks = {"http": {"port": 1}, "tcp": {"port": 1}}
        probe: dict[str, Any] = {path[2]: checks[path[2]]} if path[2] in checks else {"exec": ["a"]}
        bare["probes"] = {path[1]: probe}
        inner = {path[-1]: default}
        changed = probe | (inner if len(path) == 3 else {path[2]: probe[path[2]] | inner})
        given["probes"] = {path[1]: changed}
    elif path[0] in NEEDED and len(path) > 1:
        bare[path[0]] = NEEDED[path[0]]
        given[path[0]] = NEEDED[path[0]] | {path[1]: default}
    elif path[0] == "mounts" and len(path) > 1:
        bare["mounts"] = [{"type": "tmpfs", "target": "/t"}]
        given["mounts"] = [bare["mounts"][0] | {path[1]: default}]
    else:
        value = default
        for name in reversed(path[1:]):
            value = {name: value}
        given[path[0]] = value
    assert spec_of(json.dumps(given)) == spec_of(json.dumps(bare))


def walk(
    schema: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, child in properties_of(schema).items():
        yield (*path, name), child
        yield from walk(child, (*path, name))


@pytest.mark.parametrize(("path", "schema"), list(walk(inlined())), ids=lambda item: str(item)[:40])
def test_each_property_is_described_for_editors_and_its_examples_are_valid(
    path: tuple[str, ...], schema: dict[str, Any]
) -> None:
    from jsonschema import Draft202012Validator

    assert schema["description"].endswith(".")
    assert schema["title"]
    checker = make_validator().format_checker
    validator = Draft202012Validator(schema, format_checker=checker)
    for example in [*schema["examples"], *([schema["default"]] if "default" in schema else [])]:
        validator.validate(example)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for child in schema.values():
            yield from objects(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from objects(child)


def test_no_object_takes_unknown_fields() -> None:
    found = list(objects(load_schema()))
    assert len(found) > 10
    assert all(item["additionalProperties"] is False for item in found)


def test_the_schema_is_valid_by_its_own_standard() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(load_schema())


def test_references_put_in_place_change_nothing_but_the_spelling() -> None:
    from jsonschema import Draft202012Validator

    sample = {"command": ["a"], "resources": {"memory": {"max": "5X"}}, "rlimits": {"core": "x"}}
    checker = make_validator().format_checker
    by_reference = Draft202012Validator(load_schema(), format_checker=checker)
    assert {error.message for error in by_reference.iter_errors(sample)} == {
        error.message for error in make_validator().iter_errors(sample)
    }


def test_each_format_of_the_schema_has_a_check_and_each_check_is_used() -> None:
    used = set(re.findall(r"'format': '([a-z-]+)'", str(load_schema())))
    assert used == _FORMATS.keys()


def test_the_full_sample_uses_every_field() -> None:
    from reconciler.loader.document import read_documents

    [root] = read_documents(FULL)
    used = set[tuple[str, ...]]()

    def visit(data: Any, path: tuple[str, ...]) -> None:
        for item in data if isinstance(data, list) else [data]:
            if isinstance(item, dict):
                for name, value in item.items():
                    used.add((*path, name))
                    visit(value, (*path, name))

    visit(root.data, ())
    missing = {path for path, _ in walk(inlined())} - used
    probes = {path[2:] for path in used if path[0] == "probes"}  # each kind has one check alone
    probes.add(("unix",))  # three kinds of probes have no room for the fourth check
    missing = {path for path in missing if path[0] != "probes" or path[2:] not in probes}
    # Others of a policy, and a file that would have to be there.
    missing -= {
        ("scheduler", "nice"),
        ("scheduler", "priority"),
        ("security", "seccomp", "profile"),
    }
    # Another form of a field that is used.
    missing = {path for path in missing if path[:2] != ("security", "capabilities")}
    hooks = {path[2:] for path in used if path[0] == "hooks"}  # the same fields at each point
    missing = {path for path in missing if path[0] != "hooks" or path[2:] not in hooks}
    assert {path for path in missing if path[0] != "rlimits"} == set()


def test_the_capabilities_are_those_of_the_linux_layer() -> None:
    schema = inlined()["properties"]["security"]["properties"]["capabilities"]
    assert set(schema["items"]["enum"]) == set(CAPABILITIES)
