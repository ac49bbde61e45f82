"""The monitor dies by SIGKILL: containers run and log on, and their exits are known after."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.e2e import kernel
from tests.e2e.instance import Instance, Json, shell
from tests.e2e.waiting import wait_until

COUNT = 20
SCRIPT = """
n=0
while [ ! -e /gate/$1 ]; do n=$((n+1)); echo $n; sleep 0.05; done
echo done
exit $2
"""


def spec(reconciler: Instance, name: str, code: int) -> Json:
    """Return a container that counts until its gate is open, then exits with a code."""
    gate = {"type": "bind", "source": str(reconciler.base / "gate"), "target": "/tmp/gate"}
    script = SCRIPT.replace("/gate", "/tmp/gate").replace("$1", name).replace("$2", str(code))
    return shell(script, mounts=[gate], restart={"policy": "never"})


def start_twenty(reconciler: Instance) -> dict[str, Json]:
    """Start twenty containers and wait until each has written something."""
    (reconciler.base / "gate").mkdir()
    for number in range(COUNT):
        reconciler.write(f"c{number}.yaml", spec(reconciler, f"c{number}", number))
    reconciler.apply()
    items = reconciler.items()
    assert {item["state"] for item in items.values()} == {"running"}
    return items


def kill_monitor(reconciler: Instance) -> int:
    """Kill the monitor as the OOM killer would; return its pid."""
    [monitor] = reconciler.monitors()
    os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: not kernel.is_alive(monitor), "the monitor is dead")
    return monitor


def open_gate(reconciler: Instance, names: list[str]) -> None:
    """Let containers end."""
    for name in names:
        (reconciler.base / "gate" / name).touch()


def numbers(lines: list[str]) -> list[int]:
    """Return what a container has counted."""
    return [int(line) for line in lines if line.isdigit()]


def test_twenty_containers_outlive_their_monitor(reconciler: Instance) -> None:
    before = start_twenty(reconciler)
    counted = len(numbers(reconciler.logs("c3")))
    monitor = kill_monitor(reconciler)
    assert all(kernel.is_alive(item["pid"]) for item in before.values())
    after = reconciler.items()
    assert {n: (i["state"], i["pid"], i["startedAt"]) for n, i in after.items()} == {
        n: (i["state"], i["pid"], i["startedAt"]) for n, i in before.items()
    }
    assert reconciler.apply("-o", "json").json["actions"] == []
    [successor] = reconciler.monitors()
    assert successor != monitor
    wait_until(lambda: len(numbers(reconciler.logs("c3"))) > counted + 5, "it logs on")
    open_gate(reconciler, list(before))
    for number in range(COUNT):
        item = reconciler.wait_for(f"c{number}", pid=None)
        assert item["lastExit"]["code"] == number
        assert item["lastExit"]["signal"] is None
    lines = numbers(reconciler.logs("c3"))
    assert lines == list(range(1, len(lines) + 1)), "a line was lost or written twice"
    assert reconciler.logs("c3")[-1] == "done"
    assert reconciler.monitors() in ([successor], [])


def test_an_exit_while_there_is_no_monitor_is_noticed_and_never_invented(
    reconciler: Instance,
) -> None:
    before = start_twenty(reconciler)
    kill_monitor(reconciler)
    open_gate(reconciler, ["c5"])
    wait_until(lambda: not kernel.is_alive(before["c5"]["pid"]), "c5 ends")
    item = reconciler.wait_for("c5", pid=None)
    assert item["state"] in ("stopped", "failed")
    assert item["lastExit"]["code"] in (5, None)
    assert item["lastExit"]["signal"] is None
    assert reconciler.pid("c6") == before["c6"]["pid"]
    # What it wrote after the kill went with its FIFO: no process was left to hold it.
    assert "1" in reconciler.logs("c5")


def test_a_dead_monitor_is_replaced_by_whatever_command_comes_next(
    reconciler: Instance,
) -> None:
    gate = reconciler.base / "gate"
    gate.mkdir()
    reconciler.write("c1.yaml", spec(reconciler, "c1", 1))
    reconciler.write("c2.yaml", spec(reconciler, "c2", 2))
    reconciler.apply()
    pid = reconciler.pid("c1")
    kill_monitor(reconciler)
    assert reconciler.logs("c1")
    assert reconciler.run("stats", "-o", "json").json["items"]
    reconciler.run("destroy", "c2")
    assert reconciler.pid("c1") == pid
    kill_monitor(reconciler)
    reconciler.write("c1.yaml", spec(reconciler, "c1", 1) | {"resources": {"pids": {"max": 9}}})
    reconciler.write("c3.yaml", spec(reconciler, "c3", 3))
    reconciler.apply("--no-prune")
    assert reconciler.pid("c1") == pid
    assert kernel.pids_max(pid) == 9
    assert reconciler.item("c3")["state"] == "running"


def test_watch_goes_on_when_the_monitor_dies(reconciler: Instance) -> None:
    (reconciler.base / "gate").mkdir()
    always = {"restart": {"policy": "always", "backoff": {"initial": "0"}}}
    reconciler.write("c1.yaml", spec(reconciler, "c1", 1) | always)
    with reconciler.watching():
        first = reconciler.wait_for("c1", state="running")
        kill_monitor(reconciler)
        assert reconciler.pid("c1") == first["pid"]
        os.kill(first["pid"], signal.SIGKILL)
        wait_until(
            lambda: reconciler.item("c1")["pid"] not in (None, first["pid"]), "c1 runs again"
        )


def test_the_interpreter_of_the_monitor_is_a_sealed_copy(reconciler: Instance) -> None:
    (reconciler.base / "gate").mkdir()
    reconciler.write("c1.yaml", spec(reconciler, "c1", 1))
    reconciler.apply()
    [monitor] = reconciler.monitors()
    assert "memfd:" in os.readlink(f"/proc/{monitor}/exe")
    assert kernel.proc_status(monitor)["Threads"] == "1"
    assert Path(f"/proc/{monitor}/stat").stat().st_uid == 0
