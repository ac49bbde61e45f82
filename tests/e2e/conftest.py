"""An isolated instance for each test, and the check at the end that nothing is left of any."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, discard, make_instance
from tests.e2e.waiting import wait_until

BUSYBOX = Path("/bin/busybox")
APPLETS = ("cat", "echo", "grep", "hostname", "id", "ls", "mount", "sh", "sleep", "touch", "wc")

# An idle monitor ends by itself after some seconds; to wait for each would take minutes.
_lent: list[Instance] = []
_explained: set[str] = set()


@pytest.fixture(autouse=True)
def _needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("makes containers, which needs root: run the tests as uid 0")


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Check at the very end that every monitor has ended and taken its cgroup along."""
    yield
    try:
        for instance in _lent:
            if instance.is_closed:
                wait_until(instance.has_vanished, f"monitor and cgroups of {instance.base} go")
    finally:
        for instance in _lent:
            discard(instance)


@pytest.fixture
def reconciler() -> Iterator[Instance]:
    """Give a reconciler of its own to a test; afterwards everything of it must be gone."""
    yield from lend()


@pytest.fixture
def other() -> Iterator[Instance]:
    """Give a second, independent reconciler on the same host."""
    yield from lend()


def lend() -> Iterator[Instance]:
    """Give a new instance, close it after use, and look up every error code that it showed."""
    instance = make_instance()
    _lent.append(instance)
    yield instance
    instance.close()
    for name in instance.codes - _explained:
        assert name in instance.run("explain", name).out
        _explained.add(name)


@pytest.fixture(scope="session")
def busybox() -> Iterator[Path]:
    """Give a directory with busybox and users of its own, to be a container's root."""
    if not BUSYBOX.exists():
        pytest.skip("needs busybox-static: as root on Debian tests/run installs it")
    root = Path(tempfile.mkdtemp(prefix="rb-", dir="/tmp"))
    root.chmod(0o755)
    make_busybox_root(root)
    yield root
    shutil.rmtree(root)


def make_busybox_root(root: Path) -> None:
    """Fill a directory with what a small container needs."""
    (root / "bin").mkdir()
    shutil.copy2(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:4242:4343::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\napp:x:4343:\nvideo:x:4444:app\n")
    for name in ("proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir()
