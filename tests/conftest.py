"""What every test can use: markers by directory, reasons to skip, isolated directories."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_configure() -> None:
    """Choose hypothesis's profile; in the emulated guest its import alone takes seconds."""
    if "RECONCILER_GUEST" not in os.environ:
        _load_profile()


def _load_profile() -> None:
    # `ci` is for each run, `long` for `tests/run --long`. No deadlines and no health check for
    # slowness: a loaded machine is no failure of the code.
    import hypothesis

    hypothesis.settings.register_profile(
        "ci",
        deadline=None,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.register_profile(
        "long", parent=hypothesis.settings.get_profile("ci"), max_examples=5_000
    )
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


LANES = frozenset({"unit", "contract", "integration", "e2e", "guest", "fire", "rootless", "bench"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its lane, the directory below tests/ that it is in."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        lane = item.path.relative_to(TESTS).parts[0]
        if lane in LANES:
            item.add_marker(lane)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that this machine cannot run, and say why."""
    if item.get_closest_marker("requires_root") and os.geteuid() != 0:
        pytest.skip("needs root: run the tests as uid 0")
    names = [name for mark in item.iter_markers("requires_command") for name in mark.args]
    missing = sorted(name for name in names if shutil.which(name) is None)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: as root on Debian tests/run installs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirs:
    """The directories of one isolated instance of the reconciler; both exist and are empty.

    The paths are short: the path of a unix socket has at most 107 bytes (unix(7)).
    """

    run_dir: Path
    state_dir: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that make a `reconciler` process use these directories."""
        return {
            "RECONCILER_RUN_DIR": str(self.run_dir),
            "RECONCILER_STATE_DIR": str(self.state_dir),
        }


@pytest.fixture
def run_dirs() -> Iterator[RunDirs]:
    """Give a run_dir and a state_dir of its own to a test, and remove them after it."""
    base = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    dirs = RunDirs(run_dir=base / "run", state_dir=base / "state")
    dirs.run_dir.mkdir(mode=0o700)
    dirs.state_dir.mkdir(mode=0o700)
    yield dirs
    shutil.rmtree(base)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a bound datagram socket, as a service manager's or the journal's."""
    flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    directory = tempfile.mkdtemp(prefix="rc-", dir="/tmp")
    with socket.socket(socket.AF_UNIX, flags) as sock:
        sock.bind(f"{directory}/socket")
        sock.settimeout(20)
        yield sock
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def is_short() -> bool:
    """Tell whether slow tests take their short form (`tests/run` without --long)."""
    return os.environ.get("RECONCILER_TEST_SHORT") == "1"
