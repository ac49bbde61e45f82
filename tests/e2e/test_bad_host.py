"""What the host lacks: each a clear error with a code, and what runs is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import kernel
from tests.e2e.conftest import lend
from tests.e2e.instance import NOBODY, Instance, Json, Result, sleeper

FAILED = 1


def bad_specs(base: Path, busybox: Path) -> dict[str, tuple[Json, str, str]]:
    """Return spec, name of the error, and what its message must say."""
    script = base / "script"
    script.write_text("no interpreter\n")
    script.chmod(0o755)
    shebang = base / "shebang"
    shebang.write_text("#!/no/such/interpreter\n")
    shebang.chmod(0o755)
    plain = base / "plain"
    plain.write_text("not executable\n")
    rooted = {"rootfs": {"path": str(busybox)}}

    def bind(source: str) -> Json:
        return {"mounts": [{"type": "bind", "source": source, "target": "/tmp/x"}]}

    def show(path: Path) -> Json:
        return bind(str(path)) | {"command": ["/tmp/x"]}

    return {
        "nothere": (sleeper(command=["/no/such"]), "CommandNotFound", "/no/such"),
        "notinpath": (sleeper(command=["nosuchcmd"]), "CommandNotFound", "nosuchcmd"),
        "notexec": (sleeper(command=["/etc/passwd"]), "CommandNotExecutable", "/etc/passwd"),
        "directory": (sleeper(command=["/usr"]), "CommandNotExecutable", "/usr"),
        "noformat": (sleeper(**show(script)), "CommandNotExecutable", "/tmp/x"),
        "noshebang": (sleeper(**show(shebang)), "CommandNotExecutable", "/tmp/x"),
        "nopermit": (sleeper(**show(plain)), "CommandNotExecutable", "/tmp/x"),
        "noroot": (sleeper(rootfs={"path": "/no/root"}), "RootfsNotFound", "/no/root"),
        "fileroot": (sleeper(rootfs={"path": "/etc/passwd"}), "RootfsNotFound", "/etc/passwd"),
        "nosource": (sleeper(**bind("/no/source")), "MountSourceNotFound", "/no/source"),
        "relsource": (sleeper(**bind("./nosource")), "MountSourceNotFound", "nosource"),
        "nouser": (sleeper(user="nosuchuser", **rooted), "UserNotFound", "nosuchuser"),
        "nogroup": (sleeper(groups=["nosuchgrp"], **rooted), "UserNotFound", "nosuchgrp"),
        "nocpu": (sleeper(resources={"cpu": {"cpus": "4000"}}), "", "4000"),
        "nodir": (sleeper(workdir="/no/dir"), "", "/no/dir"),
        "nodevice": (
            sleeper(resources={"io": {"max": [{"device": "/dev/nodev", "writeBytes": 1}]}}),
            "",
            "/dev/nodev",
        ),
    }


BAD = [
    "nothere",
    "notinpath",
    "notexec",
    "directory",
    "noformat",
    "noshebang",
    "nopermit",
    "noroot",
    "fileroot",
    "nosource",
    "relsource",
    "nouser",
    "nogroup",
    "nocpu",
    "nodir",
    "nodevice",
]


@pytest.fixture
def good(reconciler: Instance) -> Callable[[], None]:
    """Start a container and return a check that it runs on untouched."""
    reconciler.write("good.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("good")

    def check() -> None:
        assert reconciler.pid("good") == pid

    return check


def test_every_bad_container_is_an_error_of_its_own(
    reconciler: Instance, good: Callable[[], None], busybox: Path
) -> None:
    specs = bad_specs(reconciler.base, busybox)
    assert set(specs) == set(BAD)
    for name, (spec, _, _) in specs.items():
        reconciler.write(f"{name}.yaml", spec)
    result = reconciler.apply("-o", "json", exits=FAILED)
    errors = {a["name"]: a["error"] for a in result.json["actions"]}
    wrong = []
    for name, (_, code_name, text) in specs.items():
        error = errors.get(name)
        if not error or code_name not in ("", error["name"]) or text not in error["message"]:
            wrong.append((name, error))
    assert wrong == []
    good()
    cgroups = [path for root in reconciler.cgroups for path in root.glob("*/")]
    assert {path.name for path in cgroups} == {"good"}
    for name in BAD:
        reconciler.write(f"{name}.yaml", sleeper(command=["/bin/sleep", "4000"]))
    reconciler.apply()
    assert {item["state"] for item in reconciler.items().values()} == {"running"}
    good()


@pytest.fixture(scope="module")
def edited(busybox: Path) -> Iterator[tuple[dict[str, Json], Result, dict[str, Json]]]:
    """Edit running containers into what cannot be; give them before, the answer, and after."""
    for instance in lend():
        for name in BAD:
            instance.write(f"{name}.yaml", sleeper())
        instance.apply()
        before = instance.items()
        for name, (spec, _, _) in bad_specs(instance.base, busybox).items():
            instance.write(f"{name}.yaml", spec)
        result = instance.apply(exits=FAILED)
        after = instance.items()
        for name in BAD:
            instance.write(f"{name}.yaml", sleeper())
        instance.apply()
        assert {item["state"] for item in instance.items().values()} == {"running"}
        yield before, result, after


Edited = tuple[dict[str, Json], Result, dict[str, Json]]


@pytest.mark.parametrize("name", BAD)
def test_an_edit_that_cannot_be_carried_out_says_why(edited: Edited, name: str) -> None:
    _, result, after = edited
    assert any(r["container"] == name for r in result.records if r["level"] == "error")
    assert name in after, "the container is gone from status without a trace"
    assert after[name]["conditions"]


@pytest.mark.parametrize(
    "name", ["noroot", "fileroot", "nosource", "relsource", "nouser", "nogroup"]
)
def test_what_can_be_checked_first_does_not_stop_what_runs(edited: Edited, name: str) -> None:
    before, _, after = edited
    assert name in after
    assert after[name]["pid"] == before[name]["pid"]


def test_a_limit_that_the_host_cannot_enforce_is_refused(
    reconciler: Instance, good: Callable[[], None]
) -> None:
    if kernel.is_unified("memory"):
        pytest.skip("memory.high exists on cgroup v2: this host can enforce it")
    reconciler.write("web.yaml", sleeper(resources={"memory": {"high": "64Mi"}}))
    result = reconciler.apply(exits=FAILED)
    assert result.codes == {"LimitNotSupported"}
    assert "memory.high" in result.text
    assert "v2" in result.text
    assert reconciler.items().get("web", {"pid": None})["pid"] is None
    good()


def test_an_unenforceable_limit_edited_in_leaves_the_container_running(
    reconciler: Instance,
) -> None:
    if kernel.is_unified("memory"):
        pytest.skip("memory.high exists on cgroup v2: this host can enforce it")
    reconciler.write("web.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("web")
    reconciler.write("web.yaml", sleeper(resources={"memory": {"high": "64Mi"}}))
    reconciler.apply(exits=FAILED)
    assert reconciler.pid("web") == pid


def test_without_permission_there_is_a_clear_error(
    reconciler: Instance, good: Callable[[], None]
) -> None:
    failures = []
    for verb in ("apply", "plan", "status", "destroy"):
        arg = "--all" if verb == "destroy" else reconciler.source
        result = reconciler.run_as(NOBODY, verb, arg, exits=FAILED, is_bug_ok=True)
        if result.codes != {"PermissionDenied"} or str(reconciler.base) not in result.text:
            failures.append(str(result))
    assert not failures, "\n".join(failures)
    good()


def test_an_ordinary_user_runs_containers_in_directories_of_its_own(
    reconciler: Instance,
) -> None:
    reconciler.write("web.yaml", sleeper())
    own = reconciler.base / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    env = {"RECONCILER_RUN_DIR": f"{own}/run", "RECONCILER_STATE_DIR": f"{own}/state"}
    result = reconciler.run_as(NOBODY, "apply", reconciler.source, env=env)
    assert "created web" in result.out
    reconciler.write("web.yaml", sleeper(resources={"memory": {"max": "64Mi"}}))
    refused = reconciler.run_as(NOBODY, "apply", reconciler.source, env=env, exits=FAILED)
    assert refused.codes == {"LimitNotSupported"}
    reconciler.run_as(NOBODY, "destroy", "--all", env=env)
    assert not list(own.glob("run/containers/*"))
