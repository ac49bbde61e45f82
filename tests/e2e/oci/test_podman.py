"""podman and buildah with our runtime, where they work here with runc: what they do every day."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.requires_root,
    pytest.mark.requires_command("podman", "buildah", "runc", "conmon", "busybox"),
]
_BUSYBOX = "/bin/busybox"
_CONF = """
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
runtime_supports_json = ["runc", "reconciler-oci"]
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"""
_Done = subprocess.CompletedProcess[str]


class Tools:
    """podman and buildah with a store of their own, in which there is one image, `guest`."""

    def __init__(self, base: Path, runtime: str) -> None:
        self._base = base
        self.runtime = runtime
        self._store = ["--root", str(base / "lib"), "--runroot", str(base / "run")]
        self._store += ["--storage-driver", "vfs"]

    def podman(self, *words: str, **options: Any) -> _Done:
        """Run podman."""
        own = ["--runtime", self.runtime, "--tmpdir", str(self._base / "tmp")]
        return self._run(["podman", *self._store, *own, *words], **options)

    def buildah(self, *words: str) -> _Done:
        """Run buildah."""
        return self._run(["buildah", *self._store, *words])

    def _run(self, command: list[str], **options: Any) -> _Done:
        env = os.environ | {
            "CONTAINERS_CONF": str(self._base / "containers.conf"),
            "BUILDAH_ISOLATION": "oci",
        }
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=env, timeout=90, **options
        )


def _image(base: Path) -> Path:
    root = base / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir(parents=True)
    shutil.copy(_BUSYBOX, root / "bin/busybox")
    for name in ("sh", "cat", "echo", "id", "sleep", "true", "tty", "touch"):
        (root / "bin" / name).symlink_to("busybox")
    archive = base / "image.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    """Give the tools with our runtime; skip where they do not work with runc either."""
    base = Path(tempfile.mkdtemp(prefix="rc-podman-", dir="/tmp"))
    (base / "containers.conf").write_text(_CONF)
    program = base / "reconciler-oci"
    boot = "import sys\nfrom reconciler.oci.main import main\nsys.exit(main())\n"
    place = f"sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
    program.write_text(f"#!{sys.executable}\nimport sys\n{place}{boot}")
    program.chmod(0o755)
    made, counterpart = Tools(base, str(program)), Tools(base, "runc")
    try:
        imported = counterpart.podman("import", str(_image(base)), "guest")
        if imported.returncode:
            pytest.skip(f"podman cannot import an image here: {imported.stderr.strip()[-200:]}")
        tried = counterpart.podman("run", "--rm", "--network", "none", "guest", "true")
        if tried.returncode:
            pytest.skip(f"podman does not work with runc here: {tried.stderr.strip()[-200:]}")
        yield made
    finally:
        made.podman("rm", "--all", "--force", "--time", "0")
        _remove_cgroups()
        shutil.rmtree(base, ignore_errors=True)


def _remove_cgroups() -> None:
    """Remove the empty parents that podman leaves, also where no hierarchy is mounted."""
    for parent in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        if not (parent / "cgroup.procs").exists():
            shutil.rmtree(parent)
            continue
        for path in (*parent.glob("*/"), parent):
            if path.is_dir() and not (path / "cgroup.procs").read_text():
                subprocess.run(["rmdir", path], check=False, capture_output=True)


def _run(tools: Tools, *words: str, **options: Any) -> _Done:
    return tools.podman("run", "--rm", "--network", "none", *words, **options)


def test_run_passes_on_output_input_and_exit_code(tools: Tools) -> None:
    done = _run(tools, "-i", "guest", "sh", "-c", "cat; exit 3", input="given")
    assert (done.returncode, done.stdout) == (3, "given")


def test_limits_are_in_force(tools: Tools) -> None:
    limits = ["--memory", "64m", "--pids-limit", "50", "--cpus", "0.5"]
    script = "cat /sys/fs/cgroup/memory*/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    done = _run(tools, *limits, "guest", "sh", "-c", f"{script} 2>/dev/null; true")
    assert done.stdout.split() == [str(64 << 20)], done.stderr


def test_a_user_has_its_ids_and_no_capabilities(tools: Tools) -> None:
    script = "id -u; id -g; cat /proc/self/status"
    done = _run(tools, "--user", "1000:1001", "guest", "sh", "-c", script)
    assert done.stdout.splitlines()[:2] == ["1000", "1001"]
    assert "CapEff:\t0000000000000000" in done.stdout


def test_volumes_and_read_only_roots_are_as_told(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    script = "cat /mnt/file; touch /mnt/x || touch /x || touch /run/x && echo run"
    words = ["--read-only", "--tmpfs", "/run", "-v", f"{tmp_path}:/mnt:ro", "guest"]
    done = _run(tools, *words, "sh", "-c", script)
    assert done.stdout == "from the host\nrun\n", done.stderr


@pytest.mark.parametrize(("command", "code"), [("nosuch", 127), ("/etc", 126)])
def test_what_cannot_run_has_the_exit_code_of_a_shell(
    tools: Tools, command: str, code: int
) -> None:
    assert _run(tools, "guest", command).returncode == code


def test_a_terminal_is_one(tools: Tools) -> None:
    done = _run(tools, "-t", "guest", "tty")
    assert done.stdout.strip() == "/dev/pts/0", done.stderr


def test_detached_it_is_executed_in_paused_stopped_and_removed(tools: Tools) -> None:
    assert tools.podman(
        "run", "-d", "--name", "d1", "--network", "none", "guest", "sleep", "1000"
    ).stdout
    done = tools.podman("exec", "-e", "A=b", "-w", "/tmp", "d1", "sh", "-c", "pwd; echo $A; exit 5")
    assert (done.returncode, done.stdout) == (5, "/tmp\nb\n")
    assert "/dev/pts/0" in tools.podman("exec", "-t", "d1", "tty").stdout
    assert tools.podman("exec", "-d", "d1", "sleep", "1000").returncode == 0
    for words, status in ((["pause", "d1"], "paused"), (["unpause", "d1"], "running")):
        assert tools.podman(*words).returncode == 0
        shown = tools.podman("inspect", "--format", "{{.State.Status}}", "d1")
        assert shown.stdout.strip() == status
    assert tools.podman("stop", "-t", "0", "d1").returncode == 0
    assert tools.podman("start", "d1").returncode == 0
    assert tools.podman("kill", "d1").returncode == 0
    assert tools.podman("wait", "d1").stdout.strip() == "137"
    assert tools.podman("rm", "d1").returncode == 0
    assert tools.podman("ps", "-aq").stdout == ""


def test_the_exit_code_of_a_detached_container_is_kept(tools: Tools) -> None:
    tools.podman("run", "-d", "--name", "d2", "--network", "none", "guest", "sh", "-c", "exit 9")
    assert tools.podman("wait", "d2").stdout.strip() == "9"
    assert tools.podman("rm", "d2").returncode == 0


def test_privileged_on_the_hosts_namespaces(tools: Tools) -> None:
    done = tools.podman(
        *("run", "--rm", "--privileged", "--network", "host", "--pid", "host"),
        *("--ipc", "host", "--uts", "host", "guest", "echo", "ok"),
    )
    assert done.stdout == "ok\n", done.stderr


_FILE = """FROM localhost/guest
ENV A=b
RUN echo "built with $A" > /result && id -u
RUN --mount=type=tmpfs,target=/scratch touch /scratch/a
COPY Containerfile /etc/
USER 1000:1001
RUN ["/bin/sh", "-c", "id -u; id -g; cat /etc/Containerfile > /dev/null"]
CMD ["cat", "/result"]
"""


def test_an_image_is_built_and_runs(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text(_FILE)
    words = ["--network", "none", "--no-cache", "--tag", "built", str(tmp_path)]
    done = tools.buildah("bud", "--runtime", tools.runtime, *words)
    assert done.returncode == 0, done.stderr
    numbers = [line for line in done.stdout.splitlines() if line.isdecimal()]
    assert numbers == ["0", "1000", "1001"]
    assert _run(tools, "localhost/built").stdout == "built with b\n"


def test_a_build_stops_where_a_step_fails(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM localhost/guest\nRUN exit 7\n")
    done = tools.podman("build", "--isolation", "oci", "--network", "none", str(tmp_path))
    assert done.returncode == 7, done.stderr


def test_a_pod_shares_its_namespaces(tools: Tools) -> None:
    infra = ["--infra-image", "localhost/guest", "--infra-command", "sleep 1000"]
    made = tools.podman("pod", "create", "--name", "pod", "--network", "none", *infra)
    assert made.returncode == 0, made.stderr
    try:
        run = ("run", "--rm", "--pod", "pod", "guest")
        script = "for one in net ipc uts; do busybox readlink /proc/self/ns/$one; done"
        first, second = (tools.podman(*run, "sh", "-c", script) for _ in range(2))
        assert first.returncode == 0, first.stderr
        assert first.stdout == second.stdout
        assert len(first.stdout.split()) == 3
        for words in (["pause"], ["unpause"], ["stop", "--time", "0"], ["start"]):
            assert tools.podman("pod", *words, "pod").returncode == 0, words
    finally:
        tools.podman("pod", "rm", "--force", "--time", "0", "pod")


@pytest.mark.parametrize(
    ("given", "shown"), [("idmap=uids=0-1000-10;gids=0-1001-10", "1000 1001"), ("ro", "0 0")]
)
def test_the_owners_in_a_volume_are_shown_as_others_where_told(
    tools: Tools, tmp_path: Path, given: str, shown: str
) -> None:
    (tmp_path / "file").touch()
    words = ["-v", f"{tmp_path}:/mnt:{given}", "guest", "busybox", "stat", "-c", "%u %g"]
    done = _run(tools, *words, "/mnt/file")
    assert done.stdout.strip() == shown, done.stderr


def test_a_tmpfs_has_the_mode_that_is_given(tools: Tools) -> None:
    words = ["--tmpfs", "/new:mode=1777", "--tmpfs", "/etc:mode=0711", "guest", "busybox"]
    done = _run(tools, *words, "stat", "-c", "%a", "/new", "/etc")
    assert done.stdout.split() == ["1777", "711"], done.stderr


def test_buildah_runs_what_a_build_asks_for(tools: Tools) -> None:
    made = tools.buildah("from", "--pull-never", "localhost/guest")
    name = made.stdout.strip()
    assert name, made.stderr
    run = ["run", "--runtime", tools.runtime, name, "--", "sh", "-c"]
    assert tools.buildah(*run, "echo built > /tmp/x; cat /tmp/x").stdout == "built\n"
    assert tools.buildah(*run, "cat /tmp/x; exit 4").returncode == 4
    assert tools.buildah("rm", name).returncode == 0
