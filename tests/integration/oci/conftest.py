"""A bundle, and the two command lines that may run it: ours, and runc as counterpart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import rootfs  # noqa: F401 - a fixture

Spec = dict[str, Any]
_BOOT = "import sys; from reconciler.oci.main import main; sys.exit(main())"


class Oci:
    """One command line with a root of its own; `prefix` makes its ids unlike all others."""

    def __init__(self, program: list[str], root: Path, bundle: Path) -> None:
        self.program = [*program, "--root", str(root)]
        self.root = root
        self.bundle = bundle
        self.prefix = f"oci-{uuid.uuid4().hex[:8]}"

    def id(self, name: str = "c") -> str:
        """Return an id of a container."""
        return f"{self.prefix}-{name}"

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run it to its end, its output in pipes."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            [*self.program, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.bundle,
            timeout=60,
            **options,
        )

    def ok(self, *words: str, **options: Any) -> str:
        """Run it, which must succeed; return what it printed."""
        done = self.run(*words, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_in_background(self, *words: str) -> None:
        """Run `create` or `run -d`, whose container outlives it and has none of our pipes."""
        with open(self.root.parent / "said", "w+", encoding="utf-8") as said:
            done = subprocess.run(
                [*self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=False,
                cwd=self.bundle,
                timeout=60,
            )
            said.seek(0)
            assert done.returncode == 0, said.read()

    def state(self, container_id: str) -> dict[str, Any]:
        """Return the state of a container."""
        found: dict[str, Any] = json.loads(self.ok("state", container_id))
        return found

    def await_status(self, container_id: str, wanted: str) -> None:
        """Wait until the container has a status; the test's time-out ends it."""
        while self.state(container_id)["status"] != wanted:
            pass


def make_spec(*argv: str) -> Spec:
    """Return a config that runs a command, with what a host without much lets every runtime do."""
    masks = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": list(argv),
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "guest",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": masks},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
        ],
        "linux": {
            "namespaces": [
                {"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")
            ],
            "resources": {},
        },
    }


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[[Spec], None]:
    """Return a function that writes config.json into the bundle."""

    def write(spec: Spec) -> None:
        (tmp_path / "config.json").write_text(json.dumps(spec))

    return write


@pytest.fixture
def oci(tmp_path: Path, rootfs: Path) -> Iterator[Oci]:  # noqa: F811
    """Give our command line; afterwards no container of it is left."""
    root = tmp_path / "root"
    root.mkdir()
    made = Oci([sys.executable, "-c", _BOOT], root, tmp_path)
    yield made
    for name in made.ok("list", "--quiet").split():
        made.ok("delete", "--force", name)


@pytest.fixture
def runc(tmp_path: Path, rootfs: Path) -> Iterator[Oci]:  # noqa: F811
    """Give runc on the same bundle."""
    root = tmp_path / "runc"
    root.mkdir()
    made = Oci(["runc"], root, tmp_path)
    yield made
    for name in made.ok("list", "--quiet").split():
        made.ok("delete", "--force", name)


def needs_root() -> None:
    """Skip where namespaces and cgroups cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests as uid 0")
