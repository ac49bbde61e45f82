"""Hooks: at the points that config.md names, in their namespaces, with the state on their input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]
_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer")


def _noting(notes: Path, name: str) -> dict[str, Any]:
    """Return a hook that notes its state."""
    script = f"cat > {notes}/{name}; readlink /proc/self/ns/mnt > {notes}/{name}.ns"
    return {"path": "/bin/sh", "args": ["sh", "-c", script]}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return a directory for what hooks note."""
    made = tmp_path / "notes"
    made.mkdir()
    return made


def test_hooks_run_at_their_points_with_the_state(
    oci: Oci, write_spec: WriteSpec, notes: Path
) -> None:
    spec = make_spec("sleep", "1000")
    names = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    spec["hooks"] = {name: [_noting(notes, name)] for name in names}
    write_spec(spec)
    oci.start_in_background("create", oci.id())
    pid = oci.state(oci.id())["pid"]
    said = {path.name for path in notes.iterdir()}
    assert {"prestart", "createRuntime", "createContainer"} < said
    assert not {"poststart", "poststop"} & said
    for name in ("prestart", "createRuntime", "createContainer"):
        state = json.loads((notes / name).read_text())
        assert (state["status"], state["pid"], state["id"]) == ("creating", pid, oci.id())
        assert state["bundle"] == str(oci.bundle)
    oci.ok("start", oci.id())
    assert json.loads((notes / "poststart").read_text())["status"] == "running"
    oci.ok("delete", "--force", oci.id())
    assert json.loads((notes / "poststop").read_text())["status"] == "stopped"


def test_create_runtime_runs_in_the_runtimes_namespace_create_container_in_the_containers(
    oci: Oci, write_spec: WriteSpec, notes: Path
) -> None:
    spec = make_spec("sleep", "1000")
    spec["hooks"] = {name: [_noting(notes, name)] for name in ("createRuntime", "createContainer")}
    write_spec(spec)
    oci.start_in_background("create", oci.id())
    own = Path("/proc/self/ns/mnt").readlink()
    inside = Path(f"/proc/{oci.state(oci.id())['pid']}/ns/mnt").readlink()
    assert (notes / "createRuntime.ns").read_text().strip() == str(own)
    assert (notes / "createContainer.ns").read_text().strip() == str(inside)


def test_start_container_runs_inside_right_before_the_command(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    spec = make_spec("sh", "-c", "cp /srv/state /srv/seen")
    script = "cat > /srv/state; hostname >> /srv/state"
    spec["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    write_spec(spec)
    oci.start_in_background("create", oci.id())
    assert not (rootfs / "srv/state").exists()
    oci.ok("start", oci.id())
    oci.await_status(oci.id(), "stopped")
    state, hostname = (rootfs / "srv/seen").read_text().split("}", 1)[0], "guest"
    assert '"status": "created"' in state
    assert (rootfs / "srv/seen").read_text().rstrip().endswith(hostname)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_hook_that_fails_ends_the_container_and_poststop_still_runs(
    oci: Oci, write_spec: WriteSpec, notes: Path, kind: str
) -> None:
    spec = make_spec("true")
    bad = {"path": "/bin/sh", "args": ["sh", "-c", "echo the reason >&2; exit 3"]}
    spec["hooks"] = {kind: [bad], "poststop": [_noting(notes, "poststop")]}
    write_spec(spec)
    failed = oci.run("run", oci.id())
    assert failed.returncode == 1
    assert "exit status 3: the reason" in failed.stderr
    assert (notes / "poststop").exists()
    assert oci.ok("list", "-q") == ""


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
@pytest.mark.parametrize("verbs", [["create", "start"], ["run", "-d"]])
def test_a_hook_that_fails_at_start_ends_the_container_and_nothing_is_left(
    oci: Oci, write_spec: WriteSpec, notes: Path, kind: str, verbs: list[str]
) -> None:
    spec = make_spec("sleep", "1000")
    bad = {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}
    spec["hooks"] = {kind: [bad], "poststop": [_noting(notes, "poststop")]}
    write_spec(spec)
    if verbs[0] == "create":
        oci.start_in_background("create", oci.id())
        verbs = verbs[1:]
    failed = oci.run(*verbs, oci.id())
    assert failed.returncode == 1
    assert f"{kind} hook" in failed.stderr
    assert "[HookFailed]" in failed.stderr
    assert (notes / "poststop").exists()
    assert oci.ok("list", "-q") == ""


def test_a_poststop_hook_that_fails_is_a_warning_and_the_others_run(
    oci: Oci, write_spec: WriteSpec, notes: Path
) -> None:
    spec = make_spec("true")
    spec["hooks"] = {"poststop": [{"path": "/bin/false"}, _noting(notes, "second")]}
    write_spec(spec)
    done = oci.run("run", oci.id())
    assert done.returncode == 0
    assert "level=warning" in done.stderr
    assert (notes / "second").exists()


def test_a_hook_is_ended_when_its_time_is_over(oci: Oci, write_spec: WriteSpec) -> None:
    spec = make_spec("true")
    spec["hooks"] = {
        "createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]
    }
    write_spec(spec)
    failed = oci.run("run", oci.id())
    assert failed.returncode == 1
    assert "did not end within 1 s" in failed.stderr


def test_a_hook_has_its_own_environment_alone(oci: Oci, write_spec: WriteSpec, notes: Path) -> None:
    spec = make_spec("true")
    script = f"/usr/bin/env > {notes}/env"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["ONLY=this"]}
    spec["hooks"] = {"createRuntime": [hook]}
    write_spec(spec)
    oci.ok("run", oci.id())
    names = {line.partition("=")[0] for line in (notes / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"ONLY"}


def test_what_a_create_container_hook_mounts_below_the_root_is_in_the_container(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_text("from the hook")
    script = f"mount --bind {tmp_path}/source {rootfs}/srv"
    spec = make_spec("cat", "/srv/file")
    spec["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    write_spec(spec)
    assert oci.ok("run", oci.id()) == "from the hook"
    assert str(rootfs) not in Path("/proc/self/mountinfo").read_text()


def test_hooks_run_in_the_bundle_and_those_of_the_host_with_its_environment(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_HOST", "yes")
    spec = make_spec("true")

    def hook(script: str) -> list[dict[str, Any]]:
        return [{"path": "/bin/sh", "args": ["sh", "-c", script]}]

    spec["hooks"] = {
        "createRuntime": hook(f'test "$OF_THE_HOST" = yes && test "$PWD" = {tmp_path}'),
        "createContainer": hook('test "$OF_THE_HOST" = yes'),
        "startContainer": hook('test -z "$OF_THE_HOST"'),
        "poststop": hook("touch ended"),
    }
    write_spec(spec)
    (tmp_path / "elsewhere").mkdir()
    program = [*oci.program, "run", "--bundle", str(tmp_path), oci.id()]
    done = subprocess.run(
        program, cwd=tmp_path / "elsewhere", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ended").exists()


def test_create_container_hooks_see_the_mounts_and_devices_of_the_container(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    script = f"test -e {rootfs}/proc/self && test -c {rootfs}/dev/null"
    spec = make_spec("true")
    spec["root"]["readonly"] = True
    spec["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    write_spec(spec)
    assert oci.ok("run", oci.id()) == ""
