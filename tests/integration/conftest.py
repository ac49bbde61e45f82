"""A real engine on the real kernel, and what every integration test needs around it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.engine.container import Container
from reconciler.model.config import Config, Rootfs
from tests.conftest import RunDirs
from tests.integration.daemon import Daemon
from tests.integration.spec_files import Reconciler

Run = Callable[..., subprocess.CompletedProcess[str]]
BUSYBOX = "/bin/busybox"


@pytest.fixture
def engine(run_dirs: RunDirs) -> Iterator[Engine]:
    """Give an engine of its own to a test; afterwards nothing of it may be left."""
    made = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    yield made
    for container in made.list():
        container.destroy()
    for error in made.list_corrupt():
        made.handle(str(error.container)).destroy()
    made.retire()


@pytest.fixture
def reconciler(engine: Engine, tmp_path: Path) -> Reconciler:
    """Give the command line on a directory of specs."""
    source = tmp_path / "specs"
    source.mkdir(exist_ok=True)
    return Reconciler(engine, source)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "conf"
    made.mkdir()
    return made


@pytest.fixture(name="run")
def run_command(run_dirs: RunDirs, engine: Engine) -> Run:
    """Return a function that runs the command line; `engine` cleans up after it."""

    def run_cli(*arguments: object, exits: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reconciler", *map(str, arguments)]
        environ = {**os.environ, **run_dirs.environ}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == exits, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return run_cli


@pytest.fixture
def watch(run_dirs: RunDirs, engine: Engine, source: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a function that starts a daemon; it is ended before the engine is cleaned up."""
    made: list[Daemon] = []

    def start(*options: str) -> Daemon:
        daemon = Daemon(run_dirs, source, *options)
        made.append(daemon)
        daemon.await_message("watching")
        return daemon

    yield start
    for daemon in made:
        daemon.end()  # of one that has ended already this closes the pipe


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """Return a small root file system of busybox alone, with a passwd and a group file."""
    if not os.path.exists(BUSYBOX):
        pytest.skip("needs busybox-static: as root on Debian tests/run installs it")
    root = tmp_path / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "srv"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    names = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout
    for name in names.split():
        link = root / "bin" / name
        if not link.exists():
            link.symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:1500:1600::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nweb:x:1600:\nmedia:x:1700:web,root\n")
    (root / "tmp").chmod(0o1777)
    tmp_path.chmod(0o755)
    return root


def shell(script: str, **fields: object) -> Config:
    """Return a Config that runs a shell script."""
    return Config(command=("/bin/sh", "-c", script), **fields)  # type: ignore[arg-type]


def in_root(root: Path, script: str, **fields: object) -> Config:
    """Return a Config that runs a shell script in a root file system of its own."""
    fields.setdefault("rootfs", Rootfs(path=str(root)))
    return shell(script, **fields)


def output(engine: Engine, name: str, stream: str = "stdout") -> list[str]:
    """Return the lines that a container has written so far."""
    path = Path(engine.state_dir, "logs", name, "log")
    rows = path.read_text().splitlines() if path.exists() else []
    return [row.split(" ", 3)[3] for row in rows if row.split(" ")[1] == stream]


def run(engine: Engine, config: Config, name: str = "c1") -> tuple[Container, list[str]]:
    """Run a container to its end, which must come; return it and its standard output."""
    container = engine.create(name, config)
    assert container.start().wait(30) is not None
    return container, output(engine, name)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 128 KiB, mounted for the time of a test."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    options = "size=128k,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", directory], check=True)
