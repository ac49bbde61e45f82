"""The main job: a file dropped in runs, an edit is carried out, a deleted file is destroyed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e import kernel
from tests.e2e.instance import Instance, Json, shell, sleeper

MIB = 1 << 20
LIMITS: Json = {"memory": {"max": "64Mi"}, "cpu": {"max": "500m"}, "pids": {"max": 32}}


def changes(plan: Json) -> dict[str, tuple[object, object, str]]:
    """Return desired, observed and class by field of a plan with one action."""
    [action] = plan["actions"]
    return {c["field"]: (c["desired"], c["observed"], c["class"]) for c in action["changes"]}


def test_a_file_dropped_in_runs_with_the_limits_that_it_states(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(resources=LIMITS))
    reconciler.apply()
    pid = reconciler.pid("web")
    assert kernel.argv(pid) == ["/bin/sleep", "inf"]
    assert kernel.memory_max(pid) == 64 * MIB
    assert kernel.cpu_max(pid) == 0.5
    assert kernel.pids_max(pid) == 32


def test_the_smallest_file_is_one_line(reconciler: Instance) -> None:
    reconciler.write("tiny.yaml", "command: [sleep, '987']\nstop: {signal: KILL}\n")
    (reconciler.source / "tiny.yaml").write_text("command: [/bin/sh, -c, 'echo one line']\n")
    reconciler.apply()
    assert reconciler.wait_for_log("tiny", "one line")[0] == "one line"


def test_each_file_type_and_each_document_counts(reconciler: Instance) -> None:
    reconciler.write("a.yaml", sleeper(), sleeper(name="a-second"))
    reconciler.write("b.yml", sleeper())
    reconciler.write("c.json", '{"command": ["/bin/sleep", "inf"], "stop": {"signal": "KILL"}}')
    reconciler.apply()
    states = {name: item["state"] for name, item in reconciler.items().items()}
    assert states == {"a": "running", "a-second": "running", "b": "running", "c": "running"}


def test_other_files_do_not_count(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    for name in (
        ".hidden.yaml",
        "web.yaml~",
        "web.yaml.bak",
        ".web.yaml.swp",
        "README.md",
        "x.txt",
    ):
        (reconciler.source / name).write_text("this: is not [ for us")
    reconciler.apply()
    assert reconciler.made() == {"web"}


def test_apply_twice_finds_nothing_to_do(reconciler: Instance) -> None:
    for name in ("a", "b", "c"):
        reconciler.write(f"{name}.yaml", sleeper(resources=LIMITS))
    reconciler.apply()
    pids = {name: item["pid"] for name, item in reconciler.items().items()}
    assert reconciler.run("plan", reconciler.source, "--detailed-exitcode").code == 0
    second = reconciler.apply("--output", "json")
    assert second.json["actions"] == []
    assert {name: item["pid"] for name, item in reconciler.items().items()} == pids


def test_an_edited_limit_changes_live(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(resources=LIMITS))
    reconciler.apply()
    pid = reconciler.pid("web")
    more = {"memory": {"max": "96Mi"}, "cpu": {"max": "1500m"}, "pids": {"max": 48}}
    reconciler.write("web.yaml", sleeper(resources=more))
    fields = changes(reconciler.plan("--detailed-exitcode", exits=2))
    assert {name: cls for name, (_, _, cls) in fields.items()} == {
        "resources.memory.max": "live",
        "resources.cpu.max": "live",
        "resources.pids.max": "live",
    }
    reconciler.apply()
    assert reconciler.pid("web") == pid
    assert kernel.memory_max(pid) == 96 * MIB
    assert kernel.cpu_max(pid) == 1.5
    assert kernel.pids_max(pid) == 48
    assert reconciler.is_converged()


def test_a_removed_limit_is_lifted_live(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(resources=LIMITS))
    reconciler.apply()
    pid = reconciler.pid("web")
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    assert reconciler.pid("web") == pid
    assert kernel.memory_max(pid) is None
    assert kernel.cpu_max(pid) is None
    assert kernel.pids_max(pid) is None
    assert reconciler.is_converged()


def test_an_edited_command_starts_a_new_process(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    reconciler.write("web.yaml", sleeper(command=["/bin/sleep", "1000000"]))
    desired, observed, need = changes(reconciler.plan())["command"]
    assert desired == ["/bin/sleep", "1000000"]
    assert observed == ["/bin/sleep", "inf"]
    assert need == "restart"
    reconciler.apply()
    assert reconciler.pid("web") != pid
    assert not kernel.is_alive(pid)
    assert kernel.argv(reconciler.pid("web")) == ["/bin/sleep", "1000000"]
    assert reconciler.is_converged()


def test_an_edited_environment_and_workdir_reach_the_new_process(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(env={"COLOUR": "red"}))
    reconciler.apply()
    assert kernel.environ(reconciler.pid("web"))["COLOUR"] == "red"
    reconciler.write("web.yaml", sleeper(env={"COLOUR": "blue"}, workdir="/usr"))
    reconciler.apply()
    pid = reconciler.pid("web")
    assert kernel.environ(pid)["COLOUR"] == "blue"
    assert os.readlink(f"/proc/{pid}/cwd") == "/usr"


def test_a_changed_rootfs_recreates_the_container(reconciler: Instance, busybox: Path) -> None:
    reconciler.write("web.yaml", sleeper(command=["/bin/sleep", "1000"]))
    reconciler.apply()
    pid = reconciler.pid("web")
    other_root = sleeper(command=["/bin/sleep", "1000"], rootfs={"path": str(busybox)})
    reconciler.write("web.yaml", other_root)
    plan = reconciler.plan()
    assert [action["action"] for action in plan["actions"]] == ["recreate"]
    assert changes(plan)["rootfs.path"][2] == "recreate"
    reconciler.apply()
    assert not kernel.is_alive(pid)
    executable = Path(f"/proc/{reconciler.pid('web')}/root/bin/busybox")
    assert executable.samefile(busybox / "bin/busybox")
    assert reconciler.is_converged()


def test_what_the_process_does_not_see_changes_without_a_restart(reconciler: Instance) -> None:
    edits: dict[str, Json] = {
        "labels": {"labels": {"tier": "front"}},
        "policy": {"restart": {"policy": "on-failure"}},
        "grace": {"stop": {"signal": "KILL", "grace": "3s"}},
    }
    for name in edits:
        reconciler.write(f"{name}.yaml", sleeper())
    reconciler.apply()
    pids = {name: item["pid"] for name, item in reconciler.items().items()}
    for name, edit in edits.items():
        reconciler.write(f"{name}.yaml", sleeper(**edit))
    reconciler.run("plan", reconciler.source, "--detailed-exitcode", exits=2)
    reconciler.apply()
    assert {name: item["pid"] for name, item in reconciler.items().items()} == pids
    assert reconciler.is_converged()


def test_a_changed_comment_or_order_is_no_change(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(resources={"memory": {"max": "64Mi"}}))
    reconciler.apply()
    reconciler.write(
        "web.yaml",
        "# new words\nresources: {memory: {max: 67108864}}\nstop: {signal: KILL}\n"
        "command:\n  - /bin/sleep\n  - inf\n",
    )
    assert reconciler.is_converged()


def test_a_deleted_file_destroys_its_container_alone(reconciler: Instance) -> None:
    for name in ("a", "b", "c"):
        reconciler.write(f"{name}.yaml", sleeper())
    reconciler.apply()
    pids = {name: item["pid"] for name, item in reconciler.items().items()}
    cgroups = set(kernel.cgroup_dirs(pids["b"]).values())
    reconciler.remove("b.yaml")
    plan = reconciler.plan()
    assert [(a["action"], a["name"]) for a in plan["actions"]] == [("destroy", "b")]
    reconciler.apply()
    assert {name: item["pid"] for name, item in reconciler.items().items()} == {
        "a": pids["a"],
        "c": pids["c"],
    }
    assert not kernel.is_alive(pids["b"])
    assert not any(path.exists() for path in cgroups if path.name == "b")


def test_a_renamed_file_renames_the_container(reconciler: Instance) -> None:
    reconciler.write("old.yaml", sleeper())
    reconciler.write("stays.yaml", sleeper())
    reconciler.apply()
    (reconciler.source / "old.yaml").rename(reconciler.source / "new.yaml")
    reconciler.apply()
    assert reconciler.made() == {"new", "stays"}


def test_a_container_may_move_to_another_file_of_its_source(reconciler: Instance) -> None:
    reconciler.write("one.yaml", sleeper(name="web"))
    reconciler.write("stays.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    (reconciler.source / "one.yaml").rename(reconciler.source / "two.yaml")
    reconciler.apply()
    assert reconciler.pid("web") == pid


def test_stopping_is_orderly_first_and_certain_after_the_grace_period(
    reconciler: Instance,
) -> None:
    orderly = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    stubborn = shell("trap '' TERM; echo up; while :; do sleep 0.05; done")
    orderly["stop"] = {"signal": "TERM", "grace": "10s"}
    stubborn["stop"] = {"signal": "TERM", "grace": "300ms"}
    reconciler.write("orderly.yaml", orderly)
    reconciler.write("stubborn.yaml", stubborn)
    reconciler.apply()
    for name in ("orderly", "stubborn"):
        reconciler.wait_for_log(name, "up")
    reconciler.write("orderly.yaml", orderly | {"state": "stopped"})
    reconciler.write("stubborn.yaml", stubborn | {"state": "stopped"})
    reconciler.apply()
    items = reconciler.items()
    assert items["orderly"]["lastExit"]["code"] == 0
    assert "bye" in reconciler.logs("orderly")
    assert items["stubborn"]["lastExit"]["signal"] == 9


def test_several_sources_are_kept_apart(reconciler: Instance) -> None:
    second = reconciler.base / "conf2"
    second.mkdir()
    reconciler.write("a.yaml", sleeper())
    (second / "b.yaml").write_text("command: [/bin/sleep, inf]\nstop: {signal: KILL}\n")
    reconciler.run("apply", reconciler.source, second)
    items = reconciler.items()
    assert {name: item["source"] for name, item in items.items()} == {
        "a": str(reconciler.source),
        "b": str(second),
    }
    assert reconciler.apply("--output", "json").json["actions"] == []
    assert reconciler.made() == {"a", "b"}


def test_two_instances_do_not_see_each_other(reconciler: Instance, other: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    other.write("web.yaml", sleeper(command=["/bin/sleep", "1234"]))
    reconciler.apply()
    other.apply()
    pids = reconciler.pid("web"), other.pid("web")
    assert pids[0] != pids[1]
    other.run("destroy", "--all")
    assert other.items() == {}
    assert reconciler.pid("web") == pids[0]
    assert reconciler.is_converged()


def test_one_of_many_that_fails_does_not_hold_up_the_others(reconciler: Instance) -> None:
    reconciler.write("a.yaml", sleeper())
    reconciler.write("m.yaml", sleeper(command=["/no/such/command"]))
    reconciler.write("z.yaml", sleeper())
    result = reconciler.apply(exits=1)
    assert result.codes == {"CommandNotFound"}
    items = reconciler.items()
    assert items["a"]["state"] == items["z"]["state"] == "running"
