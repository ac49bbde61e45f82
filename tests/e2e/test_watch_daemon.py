"""`watch` keeps containers equal to files by itself, and leaves them running when it ends."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.e2e import kernel
from tests.e2e.instance import COMMAND, Instance, sleeper
from tests.e2e.waiting import wait_until

SOON_S = 3.0
NOW = {"restart": {"backoff": {"initial": "0"}}}


def test_watch_carries_out_what_happens_to_files_at_once(reconciler: Instance) -> None:
    with reconciler.watching(reconciler.source, "--interval", "1h"):
        reconciler.write("stays.yaml", sleeper())
        reconciler.write("web.yaml", sleeper(resources={"pids": {"max": 11}}))
        pid = reconciler.wait_for("web", SOON_S, state="running")["pid"]
        reconciler.write("web.yaml", sleeper(resources={"pids": {"max": 22}}))
        wait_until(lambda: kernel.pids_max(pid) == 22, "the limit changes", SOON_S)
        assert reconciler.pid("web") == pid
        reconciler.write("web.yaml", sleeper(command=["/bin/sleep", "3333"]))
        wait_until(lambda: not kernel.is_alive(pid), "it is restarted", SOON_S)
        reconciler.wait_for("web", SOON_S, state="running")
        reconciler.remove("web.yaml")
        wait_until(lambda: reconciler.made() == {"stays"}, "it is destroyed", SOON_S)


def test_watch_restarts_what_is_killed_at_once(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(**NOW))
    with reconciler.watching(reconciler.source, "--interval", "1h"):
        pid = reconciler.wait_for("web", state="running")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: reconciler.item("web")["pid"] not in (pid, None), "it runs", SOON_S)
        assert reconciler.item("web")["restarts"] == 1


def test_watch_puts_drift_right_at_its_interval_and_on_a_hangup_signal(
    reconciler: Instance,
) -> None:
    reconciler.write("web.yaml", sleeper(resources={"pids": {"max": 11}}))
    with reconciler.watching(reconciler.source, "--interval", "300ms"):
        pid = reconciler.wait_for("web", state="running")["pid"]
        kernel.pids_file(pid).write_text("99")
        wait_until(lambda: kernel.pids_max(pid) == 11, "the limit is put right", SOON_S)
        kernel.freeze(pid)
        wait_until(lambda: not kernel.is_frozen(pid), "it is thawed", SOON_S)
    with reconciler.watching(reconciler.source, "--interval", "1h") as watcher:
        wait_until(lambda: kernel.pids_max(pid) == 11, "watch is there")
        reconciler.write("marker.yaml", sleeper())
        reconciler.wait_for("marker", state="running")
        kernel.pids_file(pid).write_text("99")
        watcher.send_signal(signal.SIGHUP)
        wait_until(lambda: kernel.pids_max(pid) == 11, "SIGHUP makes it look", SOON_S)


def test_sigterm_leaves_the_containers_and_apply_finds_nothing_to_do(
    reconciler: Instance,
) -> None:
    for name in ("a", "b", "c"):
        reconciler.write(f"{name}.yaml", sleeper())
    with reconciler.watching() as watcher:
        for name in ("a", "b", "c"):
            reconciler.wait_for(name, state="running")
        before = reconciler.items()
    assert watcher.returncode == 0
    assert "Traceback" not in reconciler.watch_text
    assert reconciler.items() == before
    assert reconciler.apply("-o", "json").json["actions"] == []
    assert reconciler.items() == before


def test_a_killed_watch_leaves_the_containers_too(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    with reconciler.watching() as watcher:
        pid = reconciler.wait_for("web", state="running")["pid"]
        watcher.kill()
        watcher.wait()
    assert reconciler.apply("-o", "json").json["actions"] == []
    assert reconciler.pid("web") == pid


def test_one_shot_and_daemon_work_beside_each_other(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    with reconciler.watching():
        pid = reconciler.wait_for("web", state="running")["pid"]
        for number in range(3):
            reconciler.write(f"c{number}.yaml", sleeper())
            reconciler.apply()
            assert reconciler.item(f"c{number}")["state"] == "running"
        assert reconciler.is_converged()
        assert reconciler.pid("web") == pid
    assert '"level": "error"' not in reconciler.watch_text


def test_many_applies_at_once_make_each_container_once(reconciler: Instance) -> None:
    names = {f"c{number}" for number in range(5)}
    for name in names:
        reconciler.write(f"{name}.yaml", sleeper())
    command = [*COMMAND, "apply", str(reconciler.source), "-o", "json"]
    started = [
        subprocess.Popen(
            command, env=reconciler.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 4, outputs
    assert sum(out.count(b'"action": "create"') for out, _ in outputs) == len(names)
    items = reconciler.items()
    below = kernel.processes_below({p for p in reconciler.cgroups if "pids" in str(p)})
    assert len(below) in (0, len(names))
    assert set(items) == names


def test_watch_keeps_the_last_good_spec_of_a_half_written_file(reconciler: Instance) -> None:
    path = reconciler.write("web.yaml", sleeper())
    with reconciler.watching():
        pid = reconciler.wait_for("web", state="running")["pid"]
        path.write_text("command: [/bin/sle")
        wait_until(lambda: "web.yaml:" in reconciler.watch_text, "watch tells", SOON_S)
        assert reconciler.pid("web") == pid
        path.write_text("command: [/bin/sleep, '2222']\nstop: {signal: KILL}\n")
        wait_until(lambda: not kernel.is_alive(pid), "the whole file counts", SOON_S)
        reconciler.wait_for("web", SOON_S, state="running")


def test_watch_follows_a_link_that_is_swapped(reconciler: Instance) -> None:
    source = reconciler.source
    for number in (11, 22):
        (source / f"..{number}").mkdir()
        text = f"command: [/bin/sleep, inf]\nresources: {{pids: {{max: {number}}}}}\n"
        (source / f"..{number}/web.yaml").write_text(text + "stop: {signal: KILL}\n")
    (source / "..data").symlink_to("..11")
    (source / "web.yaml").symlink_to("..data/web.yaml")
    with reconciler.watching(source, "--interval", "1h"):
        pid = reconciler.wait_for("web", state="running")["pid"]
        (source / "..tmp").symlink_to("..22")
        (source / "..tmp").rename(source / "..data")
        wait_until(lambda: kernel.pids_max(pid) == 22, "the new file counts", 5)
        assert reconciler.made() == {"web"}


def test_watch_waits_for_a_source_that_is_not_there_yet(reconciler: Instance) -> None:
    reconciler.source.rmdir()
    with reconciler.watching() as watcher:
        wait_until(lambda: "SourceMissing" in reconciler.watch_text, "watch tells", 5)
        assert watcher.poll() is None
        reconciler.source.mkdir()
        reconciler.write("web.yaml", sleeper())
        reconciler.wait_for("web", 5, state="running")


def test_watch_prunes_nothing_when_its_source_goes_away(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    with reconciler.watching(reconciler.source, "--interval", "300ms"):
        pid = reconciler.wait_for("web", state="running")["pid"]
        moved = reconciler.base / "moved"
        reconciler.source.rename(moved)
        wait_until(lambda: "SourceMissing" in reconciler.watch_text, "watch tells", 5)
        assert reconciler.pid("web") == pid
        moved.rename(reconciler.source)
        reconciler.write("new.yaml", sleeper())
        reconciler.wait_for("new", 5, state="running")
        assert reconciler.pid("web") == pid


def test_a_standing_problem_is_not_logged_again_and_again(reconciler: Instance) -> None:
    reconciler.write("bad.yaml", "command: 7\n")
    reconciler.write("web.yaml", sleeper())
    with reconciler.watching(reconciler.source, "--interval", "50ms"):
        pid = reconciler.wait_for("web", state="running")["pid"]
        for number in (11, 22, 33):
            reconciler.write("web.yaml", sleeper(resources={"pids": {"max": number}}))
            wait_until(lambda n=number: kernel.pids_max(pid) == n, "a pass")  # type: ignore[misc]
    assert 1 <= reconciler.watch_text.count("bad.yaml") <= 6
