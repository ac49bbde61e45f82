"""What no file names any more is destroyed, unless that looks like an accident."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.instance import Instance, Json, sleeper

GUARDED = 4


def start(reconciler: Instance, count: int) -> dict[str, Json]:
    """Start containers c0, c1, …; return their items."""
    for number in range(count):
        reconciler.write(f"c{number}.yaml", sleeper())
    reconciler.apply()
    items = reconciler.items()
    assert len(items) == count
    return items


def pids(items: dict[str, Json]) -> dict[str, int]:
    """Return the process ids by name."""
    return {name: item["pid"] for name, item in items.items()}


def test_a_missing_source_prunes_nothing(reconciler: Instance) -> None:
    before = start(reconciler, 2)
    reconciler.source.rename(reconciler.base / "moved")
    result = reconciler.apply(exits=None)
    assert result.code in (1, GUARDED), str(result)
    assert result.codes == {"SourceMissing"}
    assert str(reconciler.source) in result.text
    assert pids(reconciler.items()) == pids(before)
    plan = reconciler.run("plan", reconciler.source, "-o", "json", exits=result.code).json
    assert plan["actions"] == []
    assert [problem["name"] for problem in plan["problems"]] == ["SourceMissing"]


def test_a_suddenly_empty_source_prunes_nothing(reconciler: Instance) -> None:
    before = start(reconciler, 2)
    reconciler.remove("c0.yaml", "c1.yaml")
    result = reconciler.apply(exits=GUARDED)
    assert "SourceEmpty" in result.codes
    assert "--allow-empty" in result.text
    assert pids(reconciler.items()) == pids(before)


def test_a_replaced_source_directory_that_is_empty_prunes_nothing(reconciler: Instance) -> None:
    before = start(reconciler, 2)
    shutil.rmtree(reconciler.source)
    reconciler.source.mkdir()
    reconciler.apply(exits=GUARDED)
    assert pids(reconciler.items()) == pids(before)


def test_an_empty_source_prunes_all_if_the_user_says_that_it_is_meant(
    reconciler: Instance,
) -> None:
    start(reconciler, 2)
    reconciler.remove("c0.yaml", "c1.yaml")
    reconciler.apply("--allow-empty")
    assert reconciler.items() == {}


def test_more_than_the_share_is_not_pruned_and_the_rest_is_done(reconciler: Instance) -> None:
    before = start(reconciler, 4)
    reconciler.remove("c0.yaml", "c1.yaml", "c2.yaml")
    reconciler.write("new.yaml", sleeper())
    result = reconciler.apply(exits=GUARDED)
    assert result.codes == {"PruneRefused"}
    assert "--max-prune" in result.text
    after = reconciler.items()
    assert set(after) == {*before, "new"}
    assert {name: after[name]["pid"] for name in before} == pids(before)
    reconciler.run("plan", reconciler.source, exits=GUARDED)
    reconciler.apply("--max-prune", "100")
    assert reconciler.made() == {"c3", "new"}


def test_the_share_itself_is_allowed(reconciler: Instance) -> None:
    start(reconciler, 4)
    reconciler.remove("c0.yaml", "c1.yaml")
    reconciler.apply()
    assert reconciler.made() == {"c2", "c3"}


def test_no_prune_destroys_nothing(reconciler: Instance) -> None:
    before = start(reconciler, 3)
    reconciler.remove("c0.yaml")
    reconciler.apply("--no-prune")
    assert pids(reconciler.items()) == pids(before)


def test_an_invalid_file_might_name_what_is_missing_so_that_nothing_is_pruned(
    reconciler: Instance,
) -> None:
    before = start(reconciler, 4)
    reconciler.remove("c0.yaml")
    reconciler.write("torn.yaml", "name: c0\ncommand: [/bin/sle")
    reconciler.apply(exits=3)
    assert pids(reconciler.items()) == pids(before)


def test_another_source_prunes_only_its_own(reconciler: Instance) -> None:
    start(reconciler, 2)
    second = reconciler.base / "second"
    second.mkdir()
    (second / "mine.yaml").write_text("command: [/bin/sleep, inf]\nstop: {signal: KILL}\n")
    reconciler.run("apply", second)
    assert reconciler.made() == {"c0", "c1", "mine"}


def test_a_container_of_another_source_is_not_taken_over(reconciler: Instance) -> None:
    before = start(reconciler, 1)
    second = reconciler.base / "second"
    second.mkdir()
    (second / "c0.yaml").write_text("command: [/bin/sleep, '5555']\nstop: {signal: KILL}\n")
    result = reconciler.run("apply", second, exits=None)
    assert result.code in (1, GUARDED), str(result)
    assert result.codes == {"NotOwned"}
    assert pids(reconciler.items()) == pids(before)
    assert reconciler.is_converged()


def test_a_source_is_the_same_however_it_is_spelled(reconciler: Instance) -> None:
    before = start(reconciler, 2)
    (reconciler.base / "link").symlink_to(reconciler.source)
    for path in ("conf/", "./conf", f"../{reconciler.base.name}/conf", "link"):
        assert reconciler.run("apply", path, "--output", "json").json["actions"] == [], path
    assert pids(reconciler.items()) == pids(before)
    assert Path(reconciler.item("c0")["source"]) == reconciler.source
