"""The guest lane. A test below tests/guest/KIND runs in a guest of that kind (see batch.KINDS).

Collected on the host as any other; when its turn comes, all selected tests of its kind are run
in one boot of the guest, and each report that comes back is that test's result here. Inside,
where RECONCILER_GUEST is set, the same files are run as they stand.

Below tests/guest/KIND/suites are links to other lanes' tests, run again in the guest. Those that
are not about what cgroup v2 has of its own are slow: they belong to the long form alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.batch import KINDS, Batch

HERE = Path(__file__).parent
IS_INSIDE = "RECONCILER_GUEST" in os.environ
BATCHES = pytest.StashKey[list[Batch]]()
SHORT_SUITES = frozenset(
    {
        "test_cgroup_driver.py",
        "test_cgroup_fields.py",
        "test_cgroup_lowering.py",
        "test_cgroup_processes.py",
        "test_destroyed_elsewhere.py",
        "test_device_control.py",
    }
)
# Of the suites that are slow as a whole: what cgroup v2 does in its own way.
SHORT_TESTS = frozenset(
    {
        "test_all_processes_are_listed_of_a_paused_container",
        "test_an_oom_is_told_to_poll_and_to_an_iterator_over_restarts",
        "test_the_oom_channel_ends_when_another_process_destroys",
        "test_further_processes_run_beside_the_init_but_not_in_a_paused_one",
        "test_each_has_a_pid_in_the_container_and_an_end_of_its_own",
        "test_a_cgroup_that_cannot_be_made_in_each_hierarchy_in_turn",
        "test_event_registrations_are_removed_before_anything_is_destroyed",
    }
)
OTHER_DRIVERS = ("[v1]", "[hybrid]", "[v1-", "[hybrid-")


def _kind(item: pytest.Item) -> str | None:
    if not item.path.is_relative_to(HERE):
        return None
    kind = item.path.relative_to(HERE).parts[0]
    return kind if kind in KINDS else None


def _is_short(item: pytest.Item) -> bool:
    name = getattr(item, "originalname", item.name)
    return item.path.name in SHORT_SUITES or name in SHORT_TESTS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a pure v2 machine cannot have, and in the short form what is slow."""
    is_short = os.environ.get("RECONCILER_TEST_SHORT") == "1"
    dropped = []
    for item in items:
        if _kind(item) is None:
            continue
        parts = item.path.relative_to(HERE).parts
        is_slow = parts[1] == "suites" and not _is_short(item)
        is_slow = is_slow or item.get_closest_marker("slow") is not None
        if is_slow:
            item.add_marker(pytest.mark.slow)
        if (is_slow and is_short) or any(name in item.name for name in OTHER_DRIVERS):
            dropped.append(item)
        if not IS_INSIDE:
            item.add_marker(pytest.mark.timeout(0))  # the batch has limits of its own
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Show as a test's result what came back from the guest."""
    kind = _kind(item)
    if IS_INSIDE or kind is None:
        return None
    batch = _batch(item, kind)
    hooks = item.ihook
    hooks.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in batch.reports_of(item):
        hooks.pytest_runtest_logreport(report=report)
    hooks.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _batch(item: pytest.Item, kind: str) -> Batch:
    """Return the batch of a kind. One guest runs at a time: another one is ended first."""
    batches = item.config.stash.setdefault(BATCHES, [])
    if not batches or batches[-1].kind != kind:
        if batches:
            batches[-1].close()
        items = [other for other in item.session.items if _kind(other) == kind]
        batches.append(Batch(kind=kind, items=items, config=item.config))
    return batches[-1]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """End the last guest."""
    for batch in session.config.stash.get(BATCHES, []):
        batch.close()
    yield


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how long each guest took."""
    for batch in config.stash.get(BATCHES, []):
        if batch.booted_s is not None:
            terminalreporter.write_line(
                f"guest {batch.kind}: booted in {batch.booted_s:.1f} s,"
                f" {len(batch.items)} tests in {batch.took_s:.0f} s"
            )
