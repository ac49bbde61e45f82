"""Drop-ins: RFC 7396, their order, their places in problems, and the last good spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.loader.document import Node, read_documents
from reconciler.loader.patch import merge_node
from reconciler.model.spec import Spec
from reconciler.model.world import Desired
from tests.unit.loader.samples import write

# The test cases of RFC 7396, appendix A (the document, the patch, the result).
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def node_of(data: Any, file: str = "") -> Node:
    [node] = read_documents(json.dumps(data), file)
    return node


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396, ids=str)
def test_the_cases_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_node(node_of(target), node_of(patch)).data == result


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


def places_agree(node: Node) -> bool:
    """Tell whether `data` is what the children say, and each key stands beside its value."""
    if isinstance(node.data, list):
        return node.data == [child.data for child in node.children]
    if not isinstance(node.data, dict):
        return True
    return (
        node.data == {name: child.data for name, child in node.children.items()}
        and node.keys.keys() == node.children.keys()
        and all(node.keys[name] <= (one.line, one.column) for name, one in node.children.items())
        and all(map(places_agree, node.children.values()))
    )


@given(VALUES, VALUES)
def test_a_merged_tree_is_whole_and_merging_again_changes_nothing(target: Any, patch: Any) -> None:
    merged = merge_node(node_of(target, "base"), node_of(patch, "patch"))
    assert places_agree(merged)
    assert merge_node(merged, node_of(patch, "patch")).data == merged.data


# --- in directories --------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    return tmp_path / "specs"


def drop(source: Path, directory: str, name: str, text: str) -> Path:
    (source / directory).mkdir(exist_ok=True)
    return write(source / directory, name, text)


def web(*sources: Path) -> Spec:
    desired = validate_paths([str(source) for source in sources])
    assert desired.problems == ()
    return desired.specs["web"]


def told(desired: Desired) -> list[str]:
    """Return what a user reads, with paths below the test's directory."""
    return [f"{problem.describe()} [{problem.spec_name}]" for problem in desired.problems]


def test_drop_ins_change_add_and_remove_fields(source: Path) -> None:
    write(source, "web.yaml", "command: [a, b]\nenv: {A: x, B: y}\nuser: '5'\nworkdir: /srv\n")
    drop(source, "web.yaml.d", "10.yaml", "command: [c]\nenv: {A: null, C: z}\nuser: null\n")
    config = web(source).config
    assert (config.command, config.env) == (("c",), {"B": "y", "C": "z"})
    assert (config.user, config.workdir) == (None, "/srv")


def test_drop_ins_for_every_container_come_first_and_then_in_the_order_of_names(
    source: Path,
) -> None:
    write(source, "web.yaml", "command: [a]\nenv: {V: base}")
    write(source, "db.yaml", "command: [a]\nenv: {V: base}")
    drop(source, "container.d", "90.yaml", "env: {V: common, COMMON: '90'}")
    drop(source, "container.d", "10.yaml", "env: {V: common, COMMON: '10'}")
    drop(source, "web.yaml.d", "10.yaml", "env: {V: ten, OWN: '10'}")
    drop(source, "web.yaml.d", "20.yml", "env: {OWN: '20'}")
    desired = validate_paths([str(source)])
    assert desired.specs["web"].config.env == {"V": "ten", "COMMON": "90", "OWN": "20"}
    assert desired.specs["db"].config.env == {"V": "common", "COMMON": "90"}


def test_the_directory_of_drop_ins_may_have_any_ending_of_specs(source: Path) -> None:
    write(source, "web.json", '{"command": ["a"]}')
    drop(source, "web.yaml.d", "a.yaml", "env: {A: a}")
    drop(source, "web.json.d", "b.json", '{"env": {"B": "b"}}')
    assert web(source).config.env == {"A": "a", "B": "b"}


def test_a_later_directory_s_drop_in_replaces_the_earlier_s_of_its_name(
    source: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    later.mkdir()
    write(source, "web.yaml", "command: [a]")
    drop(source, "web.yaml.d", "10.yaml", "env: {A: early, X: early}")
    drop(source, "web.yaml.d", "15.yaml", "env: {B: early}")
    drop(later, "web.yaml.d", "10.yaml", "env: {A: later}")
    drop(later, "web.yaml.d", "12.yaml", "env: {A: twelve}")
    assert web(source, later).config.env == {"A": "twelve", "B": "early"}
    assert web(later, source).config.env == {"A": "twelve", "X": "early", "B": "early"}


def test_a_drop_in_is_masked_by_an_empty_one_or_a_link_to_dev_null(
    source: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    later.mkdir()
    write(source, "web.yaml", "command: [a]")
    for name in ("1", "2", "3"):
        drop(source, "web.yaml.d", f"{name}.yaml", f"env: {{V{name}: x}}")
    drop(later, "web.yaml.d", "1.yaml", "")
    (later / "web.yaml.d" / "2.yaml").symlink_to("/dev/null")
    assert web(source, later).config.env == {"V3": "x"}


def test_hidden_files_backups_and_directories_are_no_drop_ins(source: Path) -> None:
    write(source, "web.yaml", "command: [a]")
    for name in (".x.yaml", "x.yaml~", "#x.yaml#", "x.conf", ".x.yaml.swp"):
        drop(source, "web.yaml.d", name, "env: {A: [")
    (source / "web.yaml.d" / "sub.yaml").mkdir()
    (source / ".web.yaml.d").mkdir()
    write(source, "db.yaml.d", "a file")
    assert web(source).config.env == {}


def test_a_file_given_by_itself_has_the_drop_ins_beside_it(source: Path) -> None:
    file = write(source, "web.yaml", "command: [a]")
    drop(source, "container.d", "1.yaml", "env: {A: a}")
    drop(source, "web.yaml.d", "1.yaml", "env: {B: b}")
    assert web(file) == web(source)
    assert web(file).config.env == {"A": "a", "B": "b"}


def test_drop_ins_are_for_the_document_of_their_name_or_the_only_one(source: Path) -> None:
    file = write(source, "web.yaml", "name: b\ncommand: [b]\n---\nname: web\ncommand: [a]\n")
    patch = drop(source, "web.yaml.d", "1.yaml", "env: {A: a}")
    desired = validate_paths([str(source)])
    assert {name: spec.config.env for name, spec in desired.specs.items()} == {
        "b": {},
        "web": {"A": "a"},
    }
    file.write_text("name: b\ncommand: [b]\n")
    assert validate_paths([str(source)]).specs["b"].config.env == {"A": "a"}
    file.write_text("name: b\ncommand: [b]\n---\nname: c\ncommand: [a]\n")
    desired = validate_paths([str(source)])
    assert sorted(desired.specs) == ["b", "c"]
    assert told(desired) == [
        f"{patch}:1:1: no document of {file} is named 'web', so that this applies to none [None]"
    ]


def test_relative_paths_are_relative_to_the_file_that_they_stand_in(source: Path) -> None:
    write(source, "web.yaml", "command: [a]\nrootfs: {path: root}")
    drop(source, "web.yaml.d", "1.yaml", "mounts: [{type: bind, source: ./m, target: /m}]")
    config = web(source).config
    assert config.rootfs.path == str(source / "root")
    assert config.mounts[0].source == str(source / "web.yaml.d" / "m")


# --- problems and the last good spec -----------------------------------------------------------


def test_a_problem_is_told_at_the_file_that_the_value_comes_from(source: Path) -> None:
    base = write(source, "web.yaml", "command: [a]\nstop: {grace: fast}\nlogs: {maxFiles: 3}")
    patch = drop(
        source,
        "web.yaml.d",
        "1.yaml",
        "# c\noomScoreAdj: 5000\nlogs: {zzz: 1}\nbad: 1\nresources: {memory: {max: 1M, high: 2M}}",
    )
    messages = told(validate_paths([str(source)]))
    assert [message.split(": ")[:2] for message in messages] == [
        [f"{base}:2:15", "stop.grace"],
        [f"{patch}:2:14", "oomScoreAdj"],
        [f"{patch}:3:8", "logs.zzz"],
        [f"{patch}:4:1", "bad"],
        [f"{patch}:5:37", "resources.memory.high"],
    ]


def test_a_field_that_a_drop_in_removes_is_missed_at_the_base(source: Path) -> None:
    base = write(source, "web.yaml", "command: [a]")
    drop(source, "web.yaml.d", "1.yaml", "command: null")
    [message] = told(validate_paths([str(source)]))
    assert message == f"{base}:1:1: command: the field 'command' is missing [web]"


BROKEN = {
    "command: [a": "2:1: not valid YAML",
    "": "the file is empty",
    "# nothing": "1:1: the file is empty",
    "[a]": "1:1: a drop-in is a mapping of fields",
    "env: {A: b}\n---\nenv: {}": "3:1: a drop-in has one document",
    "env: {A: b}\nname: db": "2:1: a drop-in cannot change the name",
    "\0": "1:1: not a text file",
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.items(), ids=repr)
@pytest.mark.parametrize("directory", ["web.yaml.d", "container.d"])
def test_a_broken_drop_in_leaves_the_last_good_spec_in_force(
    text: str, expected: str, directory: str, source: Path, tmp_path: Path
) -> None:
    write(source, "web.yaml", "command: [a]")
    patch = drop(source, directory, "1.yaml", "env: {A: b}")
    state_dir = str(tmp_path / "state")
    good = load_sources([str(source)], state_dir).specs
    patch.write_text(text)
    for _ in range(2):
        desired = load_sources([str(source)], state_dir)
        assert (desired.specs, desired.invalid) == (good, frozenset({"web"}))
        [message] = told(desired)
        assert message.startswith(f"{patch}:")
        assert expected in message
    patch.write_text("env: {A: c}")
    desired = load_sources([str(source)], state_dir)
    assert (desired.specs["web"].config.env, desired.problems) == ({"A": "c"}, ())


def test_what_becomes_of_drop_ins_is_noticed_each_time(source: Path, tmp_path: Path) -> None:
    write(source, "web.yaml", "command: [a]")
    loader = Loader(str(tmp_path / "state"))

    def env() -> dict[str, str]:
        desired = loader.load([str(source)])
        assert desired.problems == ()
        return desired.specs["web"].config.env

    assert env() == {}
    patch = drop(source, "container.d", "1.yaml", "env: {A: b}")
    assert env() == {"A": "b"}
    patch.write_text("env: {A: c}")
    assert env() == {"A": "c"}
    patch.rename(source / "container.d" / "1.yaml~")
    assert env() == {}
