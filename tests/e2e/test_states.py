"""Running, paused, stopped; and what is changed from outside is put right."""

from __future__ import annotations

import os
import signal

from tests.e2e import kernel
from tests.e2e.instance import Instance, Json, shell, sleeper
from tests.e2e.waiting import wait_until

STATES = ("running", "paused", "stopped")


def assert_state(item: Json, state: str) -> int | None:
    """Check a container's state, in `status` and in the kernel; return its pid."""
    assert item["state"] in ((state, "created") if state == "stopped" else (state,))
    pid: int | None = item["pid"]
    assert (pid is None) is (state == "stopped")
    if pid is not None:
        assert kernel.is_frozen(pid) is (state == "paused")
    return pid


def test_every_state_leads_to_every_other(reconciler: Instance) -> None:
    ways = [(first, second) for first in STATES for second in STATES]
    for first, second in ways:
        reconciler.write(f"{first}-{second}.yaml", sleeper(state=first))
    reconciler.apply()
    before = reconciler.items()
    assert reconciler.is_converged()
    pids = {way: assert_state(before["-".join(way)], way[0]) for way in ways}
    for first, second in ways:
        reconciler.write(f"{first}-{second}.yaml", sleeper(state=second))
    reconciler.apply()
    after = reconciler.items()
    assert reconciler.is_converged()
    for first, second in ways:
        pid = assert_state(after[f"{first}-{second}"], second)
        if "stopped" not in (first, second):
            assert pid == pids[first, second]
        old = pids[first, second]
        assert old is None or second != "stopped" or not kernel.is_alive(old)


def test_a_paused_container_does_nothing_and_goes_on_where_it_was(reconciler: Instance) -> None:
    counter = shell("n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done")
    reconciler.write("web.yaml", counter)
    reconciler.apply()
    reconciler.wait_for_log("web", "3")
    reconciler.write("web.yaml", counter | {"state": "paused"})
    reconciler.apply()
    lines = reconciler.logs("web")
    assert reconciler.logs("web") == lines
    reconciler.write("web.yaml", counter)
    reconciler.apply()
    wait_until(lambda: len(reconciler.logs("web")) > len(lines) + 2, "it counts on")
    numbers = [int(line) for line in reconciler.logs("web")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_limit_of_a_paused_container_changes_live(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(state="paused", resources={"pids": {"max": 10}}))
    reconciler.apply()
    pid = reconciler.pid("web")
    reconciler.write("web.yaml", sleeper(state="paused", resources={"pids": {"max": 20}}))
    reconciler.apply()
    assert reconciler.pid("web") == pid
    assert kernel.pids_max(pid) == 20
    assert kernel.is_frozen(pid)


def test_a_new_command_of_a_paused_container_is_paused_too(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(state="paused"))
    reconciler.apply()
    reconciler.write("web.yaml", sleeper(state="paused", command=["/bin/sleep", "77777"]))
    reconciler.apply()
    pid = reconciler.pid("web")
    assert kernel.argv(pid) == ["/bin/sleep", "77777"]
    assert kernel.is_frozen(pid)
    assert reconciler.is_converged()


def test_a_paused_container_can_be_destroyed(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(state="paused", stop={"signal": "TERM", "grace": "200ms"}))
    reconciler.write("stays.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    reconciler.remove("web.yaml")
    reconciler.apply()
    assert not kernel.is_alive(pid)
    assert reconciler.made() == {"stays"}


# --- drift: "Kill, freeze or re-limit something behind its back: it is put right" -----------


def test_a_limit_changed_from_outside_is_put_right(reconciler: Instance) -> None:
    limits = {"memory": {"max": "64Mi"}, "pids": {"max": 32}}
    reconciler.write("web.yaml", sleeper(resources=limits))
    reconciler.apply()
    pid = reconciler.pid("web")
    kernel.memory_file(pid).write_text(str(512 << 20))
    kernel.pids_file(pid).write_text("max")
    [action] = reconciler.plan("--detailed-exitcode", exits=2)["actions"]
    fields = {change["field"] for change in action["changes"]}
    assert fields == {"resources.memory.max", "resources.pids.max"}
    reconciler.apply()
    assert kernel.memory_max(pid) == 64 << 20
    assert kernel.pids_max(pid) == 32
    assert reconciler.pid("web") == pid


def test_a_limit_set_from_outside_that_no_file_names_is_lifted(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    kernel.pids_file(pid).write_text("5")
    reconciler.run("plan", reconciler.source, "--detailed-exitcode", exits=2)
    reconciler.apply()
    assert kernel.pids_max(pid) is None


def test_a_container_frozen_from_outside_is_thawed(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    kernel.freeze(pid)
    assert reconciler.item("web")["state"] == "paused"
    reconciler.apply()
    assert not kernel.is_frozen(pid)
    assert reconciler.pid("web") == pid


def test_a_container_thawed_from_outside_is_frozen_again(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(state="paused"))
    reconciler.apply()
    pid = reconciler.pid("web")
    kernel.freeze(pid, False)
    reconciler.apply()
    assert kernel.is_frozen(pid)


def test_a_killed_container_is_started_again(reconciler: Instance) -> None:
    spec = sleeper(restart={"backoff": {"initial": "0"}})
    reconciler.write("web.yaml", spec)
    reconciler.apply()
    pid = reconciler.pid("web")
    os.kill(pid, signal.SIGKILL)
    last = wait_until(lambda: reconciler.item("web")["lastExit"], "its end is known")
    assert (last["signal"], last["code"]) == (9, None)
    reconciler.apply()
    item = reconciler.item("web")
    assert item["state"] == "running"
    assert item["pid"] != pid
    assert item["restarts"] == 1
    assert item["lastExit"]["signal"] == 9


def test_a_hand_destroyed_container_is_made_again(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.write("db.yaml", sleeper())
    reconciler.apply()
    db = reconciler.pid("db")
    reconciler.run("destroy", "web")
    assert reconciler.made() == {"db"}
    reconciler.apply()
    assert reconciler.made() == {"db", "web"}
    assert reconciler.pid("db") == db
