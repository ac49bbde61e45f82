"""Cycles of dependencies: named with their places, and kept out of force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.loader.dependencies import find_cycles
from reconciler.loader.explain import explain_merged
from reconciler.model.spec import Dependency, Spec
from reconciler.model.world import Desired
from tests.unit.loader.samples import spec_of, write

Load = Callable[[], Desired]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "specs"
    directory.mkdir()
    return directory


@pytest.fixture(params=["one loader", "a new loader each time"])
def load(request: pytest.FixtureRequest, source: Path, tmp_path: Path) -> Load:
    """Return a function that loads the source: as the daemon does, and as `apply` does."""
    state_dir = str(tmp_path / "state")
    if request.param == "one loader":
        loader = Loader(state_dir)
        return lambda: loader.load([str(source)])
    return lambda: load_sources([str(source)], state_dir)


def put(source: Path, name: str, *others: str) -> None:
    entries = "".join(f"\n  {other}: started" for other in others)
    write(source, f"{name}.yaml", "command: [a]\n" + (f"dependsOn:{entries}\n" if others else ""))


def told(desired: Desired, source: Path) -> list[str]:
    assert {problem.name for problem in desired.problems} <= {"SpecCycle"}
    return [one.describe().removeprefix(f"{source}/") for one in desired.problems]


def links(desired: Desired) -> dict[str, list[str]]:
    return {
        name: [one.name for one in spec.depends_on] for name, spec in sorted(desired.specs.items())
    }


def test_a_cycle_is_told_at_each_of_its_entries(source: Path) -> None:
    put(source, "web", "ghost", "db")
    put(source, "db", "cache")
    put(source, "cache", "web")
    put(source, "out", "web")
    desired = validate_paths([str(source)])
    cycle = "the dependencies make a cycle:"
    assert told(desired, source) == [
        f"cache.yaml:3:3: dependsOn.web: {cycle} cache -> web -> db -> cache; remove one of them",
        f"db.yaml:3:3: dependsOn.cache: {cycle} db -> cache -> web -> db; remove one of them",
        f"web.yaml:4:3: dependsOn.db: {cycle} web -> db -> cache -> web; remove one of them",
    ]
    assert desired.invalid == {"web", "db", "cache"}
    assert [problem.spec_name for problem in desired.problems] == ["cache", "db", "web"]
    assert links(desired) == {"out": ["web"]}


def test_a_container_that_depends_on_itself_is_told_so(source: Path) -> None:
    put(source, "web", "web")
    desired = validate_paths([str(source)])
    assert told(desired, source) == [
        "web.yaml:3:3: dependsOn.web: it depends on itself; remove this entry"
    ]


def test_the_place_is_that_of_the_drop_in_which_makes_the_cycle(source: Path) -> None:
    put(source, "web", "db")
    put(source, "db")
    (source / "db.yaml.d").mkdir()
    write(source / "db.yaml.d", "more.yaml", "dependsOn: {web: {restart: true}}\n")
    assert told(validate_paths([str(source)]), source)[0].startswith("db.yaml.d/more.yaml:1:13:")


def test_a_cycle_goes_across_sources(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    put(source, "web", "db")
    put(other, "db", "web")
    assert validate_paths([str(source), str(other)]).invalid == {"web", "db"}
    assert validate_paths([str(source)]).problems == ()


def test_a_name_that_no_file_gives_is_no_error_of_the_file(source: Path) -> None:
    put(source, "web", "ghost")
    desired = validate_paths([str(source)])
    assert (desired.problems, links(desired)) == ((), {"web": ["ghost"]})


def test_members_keep_their_last_good_specs(load: Load, source: Path) -> None:
    put(source, "web", "db")
    put(source, "db")
    assert load().problems == ()
    put(source, "db", "cache")
    put(source, "cache", "web")
    for _ in range(3):
        desired = load()
        assert len(desired.problems) == 3
        assert desired.invalid == {"web", "db", "cache"}
        assert links(desired) == {"web": ["db"], "db": []}
    put(source, "web")
    desired = load()
    assert (desired.problems, desired.invalid) == ((), frozenset())
    assert links(desired) == {"web": [], "db": ["cache"], "cache": ["web"]}


def test_a_last_good_spec_may_make_a_cycle_with_what_has_changed(load: Load, source: Path) -> None:
    put(source, "a", "b")
    put(source, "b")
    assert load().problems == ()
    put(source, "a", "a")  # falls back to the one that depends on b
    put(source, "b", "a")  # so that this may not come into force either
    for _ in range(2):
        desired = load()
        assert links(desired) == {"a": ["b"], "b": []}
        alone, both = told(desired, source)
        assert "it depends on itself" in alone
        assert "b -> a -> b" in both


def test_what_was_never_good_is_not_in_force(load: Load, source: Path) -> None:
    put(source, "a", "b")
    put(source, "b", "a")
    for _ in range(3):
        desired = load()
        assert desired.specs == {}
        assert desired.invalid == {"a", "b"}
        assert desired.unknown_files == ()


def test_what_a_cycle_keeps_out_of_force_can_still_be_shown(source: Path) -> None:
    put(source, "web", "db")
    put(source, "db", "web")
    shown = explain_merged([str(source)], "web")
    assert {"command", "dependsOn.db"} <= {value.path for value in shown.values}
    assert [problem.name for problem in shown.problems] == ["SpecCycle"]


def make(name: str, *others: str) -> Spec:
    entries = ", ".join(f"{other}: started" for other in others)
    return spec_of(f"{{command: [a], dependsOn: {{{entries}}}}}", f"/etc/specs/{name}.yaml")


def test_of_several_cycles_each_member_is_told_a_short_one() -> None:
    specs = [make("a", "b", "c"), make("b", "a"), make("c", "d"), make("d", "a"), make("e", "a")]
    cycles = find_cycles({spec.name: spec for spec in specs})
    assert {name: cycle.text for name, cycle in cycles.items()} == {
        "a": "a -> b -> a",
        "b": "b -> a -> b",
        "c": "c -> d -> a -> c",
        "d": "d -> a -> c -> d",
    }


def test_what_lies_between_two_cycles_is_in_none() -> None:
    specs = [make("a", "b"), make("b", "a", "m"), make("m", "y"), make("y", "z"), make("z", "y")]
    assert sorted(find_cycles({spec.name: spec for spec in specs})) == ["a", "b", "y", "z"]


def test_a_cycle_of_thousands_is_found_and_told_in_few_words() -> None:
    names = [f"n{number:05}" for number in range(10_000)]
    first = make("n00000", "x")
    specs = {
        name: _renamed(first, name, names[(index + 1) % len(names)])
        for index, name in enumerate(names)
    }
    cycles = find_cycles(specs)
    assert len(cycles) == len(names)
    assert cycles["n00000"].text.startswith("n00000 -> n00001 -> ")
    assert cycles["n00000"].text.endswith(" -> ... (9988 more) -> n00000")
    assert max(len(cycle.text) for cycle in cycles.values()) < 200


def _renamed(spec: Spec, name: str, other: str) -> Spec:
    return Spec(
        name=name,
        config=spec.config,
        depends_on=(Dependency(name=other),),
        origin=spec.origin,
        digest=name,
    )
