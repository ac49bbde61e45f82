"""The lifecycle of runtime.md: create, start, kill, delete, and the state in between."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.linux.proc import read_stat
from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]


def test_a_created_container_has_not_run_its_command(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    write_spec(make_spec("touch", "/srv/ran"))
    oci.start_in_background("create", oci.id())
    state = oci.state(oci.id())
    assert state["status"] == "created"
    assert state["bundle"] == str(oci.bundle)
    assert Path(f"/proc/{state['pid']}").is_dir()
    assert not (rootfs / "srv/ran").exists()
    oci.ok("start", oci.id())
    oci.await_status(oci.id(), "stopped")
    assert (rootfs / "srv/ran").exists()


def test_the_states_are_created_running_stopped_and_gone(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000") | {"annotations": {"org.example.key": "value"}})
    oci.start_in_background("create", oci.id())
    oci.ok("start", oci.id())
    state = oci.state(oci.id())
    assert state["status"] == "running"
    assert state["ociVersion"] == "1.0.2"
    assert state["annotations"] == {"org.example.key": "value"}
    oci.ok("kill", oci.id(), "KILL")
    oci.await_status(oci.id(), "stopped")
    oci.ok("delete", oci.id())
    gone = oci.run("state", oci.id())
    assert gone.returncode == 1
    assert "container does not exist" in gone.stderr


def test_an_id_in_use_is_refused_and_the_container_is_left_alone(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    second = oci.run("create", oci.id())
    assert second.returncode == 1
    assert "already exists" in second.stderr
    assert oci.state(oci.id())["pid"] == pid


def test_only_a_created_container_can_be_started(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    again = oci.run("start", oci.id())
    assert again.returncode == 1
    assert "it is running" in again.stderr
    oci.ok("kill", oci.id(), "9")
    oci.await_status(oci.id(), "stopped")
    assert "has ended" in oci.run("start", oci.id()).stderr


def test_a_running_container_is_deleted_by_force_alone(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    refused = oci.run("delete", oci.id())
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    pid = oci.state(oci.id())["pid"]
    oci.ok("delete", "--force", oci.id())
    stat = read_stat(pid)
    assert stat is None or not stat.is_alive()  # or its new parent has not yet looked
    oci.ok("delete", "--force", oci.id())


def test_an_init_that_somebody_froze_elsewhere_is_deleted(oci: Oci, write_spec: WriteSpec) -> None:
    """In another of v1's freezers, where no SIGKILL ends it."""
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    pid = oci.state(oci.id())["pid"]
    (record,) = oci.root.glob(f"**/{oci.id()}/state.json")
    own = json.loads(record.read_text())["cgroups"].get("freezer")
    if own is None:
        pytest.skip("there is no v1 freezer here, and v2's lets SIGKILL through")
    other = Path(own).parent / oci.id("freezer")
    other.mkdir()
    try:
        (other / "cgroup.procs").write_text(str(pid))
        (other / "freezer.state").write_text("FROZEN")
        oci.ok("delete", "--force", oci.id())
        found = read_stat(pid)
        assert found is None or found.state == "Z"
    finally:
        (other / "freezer.state").write_text("THAWED")
        other.rmdir()


def test_a_created_container_is_deleted_as_every_runtime_does(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    oci.ok("delete", oci.id())
    stat = read_stat(pid)
    assert stat is None or not stat.is_alive()
    assert oci.run("state", oci.id()).returncode == 1


def test_containers_are_deleted_by_an_expression_of_their_ids(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("sleep", "1000"))
    for name in ("web-1", "web-2", "other"):
        oci.start_in_background("run", "-d", oci.id(name))
    oci.start_in_background("create", oci.id("web-3"))
    refused = oci.run("delete", "--regex", "web-[0-9]$")
    assert refused.returncode == 1
    assert oci.id("web-1") in refused.stderr
    assert oci.id("web-2") in refused.stderr
    left = {oci.id("web-1"), oci.id("web-2"), oci.id("other")}
    assert set(oci.ok("list", "-q").split()) == left  # that which was created is gone
    oci.ok("delete", "--force", "--regex", "web-[0-9]$")
    assert oci.ok("list", "-q").split() == [oci.id("other")]
    oci.ok("delete", "--regex", "no-such")
    assert "no regular expression" in oci.run("delete", "--regex", "[").stderr


def test_a_stopped_container_takes_no_signal(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("true"))
    oci.start_in_background("create", oci.id())
    oci.ok("start", oci.id())
    oci.await_status(oci.id(), "stopped")
    refused = oci.run("kill", oci.id(), "TERM")
    assert refused.returncode == 1
    assert "container not running" in refused.stderr


@pytest.mark.parametrize("signal", ["TERM", "SIGTERM", "15", "term"])
def test_a_signal_is_named_or_numbered(oci: Oci, write_spec: WriteSpec, signal: str) -> None:
    write_spec(make_spec("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.01; done"))
    oci.start_in_background("run", "-d", oci.id())
    oci.ok("kill", oci.id(), signal)
    oci.await_status(oci.id(), "stopped")


def test_an_unknown_signal_is_refused(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    assert "unknown signal" in oci.run("kill", oci.id(), "NOPE").stderr


def test_a_change_of_config_json_after_create_has_no_effect(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    write_spec(make_spec("touch", "/srv/first"))
    oci.start_in_background("create", oci.id())
    write_spec(make_spec("touch", "/srv/second"))
    oci.ok("start", oci.id())
    oci.await_status(oci.id(), "stopped")
    assert (rootfs / "srv/first").exists()
    assert not (rootfs / "srv/second").exists()


def test_a_failed_create_leaves_nothing(oci: Oci, write_spec: WriteSpec) -> None:
    spec = make_spec("true")
    spec["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/no/such/dir"})
    write_spec(spec)
    failed = oci.run("create", oci.id())
    assert failed.returncode == 1
    assert "/no/such/dir" in failed.stderr
    assert oci.ok("list", "-q") == ""


def test_a_command_that_is_not_there_is_told_by_create(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("nosuch"))
    failed = oci.run("create", oci.id())
    assert failed.returncode == 1
    assert "executable file not found in $PATH" in failed.stderr
    write_spec(make_spec("/etc"))
    assert "permission denied" in oci.run("create", oci.id()).stderr


def test_a_command_that_cannot_be_executed_is_told_by_start(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    (rootfs / "srv/broken").write_text("neither ELF nor script")
    (rootfs / "srv/broken").chmod(0o755)
    write_spec(make_spec("/srv/broken"))
    oci.start_in_background("create", oci.id())
    failed = oci.run("start", oci.id())
    assert failed.returncode == 1
    assert "/srv/broken" in failed.stderr
    assert oci.state(oci.id())["status"] == "stopped"


def test_run_passes_on_output_and_exit_code_and_leaves_nothing(
    oci: Oci, write_spec: WriteSpec
) -> None:
    write_spec(make_spec("sh", "-c", "echo out; echo err >&2; exit 7"))
    done = oci.run("run", oci.id())
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert oci.ok("list", "-q") == ""


def test_run_tells_a_signal_as_a_shell_does(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    command = [*oci.program, "run", oci.id()]
    with subprocess.Popen(command, cwd=oci.bundle, stdin=subprocess.DEVNULL) as process:
        while not (oci.root / "containers" / oci.id() / "run.json").exists():
            assert process.poll() is None
        oci.ok("kill", oci.id(), "KILL")
        assert process.wait() == 137


def test_run_reads_its_standard_input(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("cat"))
    done = subprocess.run(
        [*oci.program, "run", oci.id()],
        input=b"given",
        capture_output=True,
        check=True,
        cwd=oci.bundle,
    )
    assert done.stdout == b"given"


def test_run_keeps_the_container_where_told(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("true"))
    oci.ok("run", "--keep", oci.id())
    assert oci.state(oci.id())["status"] == "stopped"


def test_the_pid_file_holds_the_pid_of_the_init(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("create", "--pid-file", str(tmp_path / "pid"), oci.id())
    assert int((tmp_path / "pid").read_text()) == oci.state(oci.id())["pid"]


def test_the_init_is_the_child_of_a_subreaper_that_called(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("sh", "-c", "exit 9"))
    script = f"""
import ctypes, json, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
program = {oci.program!r}
subprocess.run([*program, "create", {oci.id()!r}], check=True, stdin=0)
pid = json.loads(subprocess.check_output([*program, "state", {oci.id()!r}]))["pid"]
subprocess.run([*program, "start", {oci.id()!r}], check=True)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    program = [*oci.program[:1], "-c", script]
    done = subprocess.run(program, capture_output=True, text=True, check=True, cwd=oci.bundle)
    assert done.stdout == "9\n"


def test_errors_go_to_the_log_as_json(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format", "json", "state", "nosuch"]
    done = oci.run(*words)
    assert done.returncode == 1
    entry = json.loads(log.read_text())
    assert set(entry) == {"level", "msg", "time"}
    assert entry["level"] == "error"
    assert entry["msg"] in done.stderr


def test_its_exit_codes_are_those_of_runc(oci: Oci, runc: Oci, write_spec: WriteSpec) -> None:
    if subprocess.run(["which", "runc"], capture_output=True, check=False).returncode:
        pytest.skip("needs runc, the counterpart")
    write_spec(make_spec("sh", "-c", "exit 4"))
    (oci.bundle / "bad.json").write_text("{}")
    for words in (
        ["run", "ID"],
        ["state", "ID"],
        ["delete", "ID"],
        ["delete", "--force", "ID"],
        ["kill", "ID", "TERM"],
        ["exec", "ID", "true"],
        ["start", "ID"],
        ["run"],
        ["create", "--bundle", "/no/such", "ID"],
    ):
        ours, theirs = (
            one.run(*[one.id() if word == "ID" else word for word in words]) for one in (oci, runc)
        )
        assert (words, ours.returncode) == (words, theirs.returncode)


def test_a_missing_working_directory_is_made_also_on_a_read_only_root(
    oci: Oci, write_spec: WriteSpec
) -> None:
    spec = make_spec("pwd")
    spec["process"]["cwd"] = "/work/here"
    spec["root"]["readonly"] = True
    write_spec(spec)
    assert oci.ok("run", oci.id()) == "/work/here\n"


def test_socket_activation_is_handed_on(oci: Oci, write_spec: WriteSpec, tmp_path: Path) -> None:
    write_spec(make_spec("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat <&3"))
    (tmp_path / "three").write_text("from three\n")
    script = f'exec 3< {tmp_path}/three; LISTEN_FDS=1 exec "$@"'
    command = ["sh", "-c", script, "sh", *oci.program, "run", oci.id()]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=oci.bundle,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == "1 1\nfrom three\n"


def test_a_signal_ends_what_is_created_and_not_started(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("create", oci.id())
    oci.ok("kill", oci.id(), "TERM")
    oci.await_status(oci.id(), "stopped")
    assert oci.run("start", oci.id()).returncode == 1
    oci.ok("delete", oci.id())
