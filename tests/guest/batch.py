"""A batch: the tests of one kind of guest, run in one boot, their reports read on the host."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any

import pytest

from tests.guest.machine.errors import GuestFailed, Unavailable
from tests.guest.machine.guest import Guest

# Per test, inside and seen from outside. An emulated machine is some 15 times slower.
TEST_LIMIT_S = 300
SILENCE_LIMIT_S = TEST_LIMIT_S + 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the tests of a directory run as."""

    systemd: bool = False
    user: bool = False


KINDS = {
    "root": Kind(),
    "user": Kind(user=True),
    "systemd": Kind(systemd=True),
    "systemd_user": Kind(systemd=True, user=True),
}

Lines = queue.SimpleQueue[bytes | None]


@dataclass(kw_only=True)
class Batch:
    """Tests that share a boot. `reports_of` gives what became of one of them, in any order."""

    kind: str
    items: Sequence[pytest.Item]
    config: pytest.Config
    reason: str | None = None  # why there is no guest: all are skipped
    trouble: str | None = None  # why reports are missing: those tests failed
    said: list[bytes] = field(default_factory=list)
    booted_s: float | None = None
    took_s: float = 0.0
    _reports: dict[str, list[pytest.TestReport]] = field(default_factory=dict)
    _lines: Lines = field(default_factory=queue.SimpleQueue)
    _open: ExitStack = field(default_factory=ExitStack)
    _guest: Guest | None = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def reports_of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Give the reports of a test as they come; boots the guest at the first call."""
        if self._guest is None and self.reason is None:
            self._start()
        if self.reason is not None:
            place = (str(item.path), item.location[1], f"Skipped: {self.reason}")
            yield _report(item, "skipped", place)
            return
        begun = time.monotonic()
        while not self._is_complete(item.nodeid) and self.trouble is None:
            self._read_report()
        self.took_s += time.monotonic() - begun
        yield from self._reports.get(item.nodeid, [])
        if not self._is_complete(item.nodeid):
            text = f"no report of this test came from the guest\n{self.trouble}"
            yield _report(item, "failed", text)

    def close(self) -> None:
        """End the guest."""
        self._open.close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    # --- the guest -----------------------------------------------------------------------

    def _start(self) -> None:
        plugins = ("tests.guest.inside", "pytest_timeout", "no:cacheprovider")
        options = [word for plugin in plugins for word in ("-p", plugin)]
        names = [item.nodeid for item in self.items]
        guest = Guest(
            command=(
                sys.executable,
                "-m",
                "pytest",
                *options,
                "-o",
                f"timeout={TEST_LIMIT_S}",
                *names,
            ),
            cwd=self.config.rootpath,
            # To look for plugins takes the emulated machine seconds.
            environ={"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            systemd=KINDS[self.kind].systemd,
            user=KINDS[self.kind].user,
        )
        try:
            self._guest = self._open.enter_context(guest)
        except Unavailable as error:
            self.reason = str(error)
            return
        for stream, keep in ((guest.output, self.said.append), (guest.errors, self.said.append)):
            self._follow(stream, keep)
        self._follow(guest.reports, self._lines.put, at_end=lambda: self._lines.put(None))

    def _follow(self, stream: IO[bytes], keep: Any, at_end: Any = lambda: None) -> None:
        def follow() -> None:
            for line in stream:
                keep(line)
            at_end()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _read_report(self) -> None:
        assert self._guest is not None
        try:
            line = self._lines.get(timeout=SILENCE_LIMIT_S)
        except queue.Empty:
            self.trouble = f"nothing was heard of it for {SILENCE_LIMIT_S} s\n{self._text()}"
            return
        if line is None:
            self.trouble = self._why_it_ended(self._guest)
            return
        if self.booted_s is None:
            self.booted_s = self._guest.booted_s()
        data = json.loads(line)
        if isinstance(data["longrepr"], list):  # of a skip: JSON has no tuples
            data["longrepr"] = tuple(data["longrepr"])
        report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        if isinstance(report, pytest.TestReport):
            self._reports.setdefault(report.nodeid, []).append(report)
        else:
            self.said.append(f"{report.nodeid}: {report.longreprtext}\n".encode())

    def _why_it_ended(self, guest: Guest) -> str:
        try:
            status = guest.wait(SILENCE_LIMIT_S)
        except GuestFailed as error:
            return f"{error}\n{self._text()}"
        return f"pytest in the guest ended with status {status}\n{self._text()}"

    def _text(self) -> str:
        return b"".join(self.said[-100:]).decode(errors="replace")

    def _is_complete(self, nodeid: str) -> bool:
        return any(report.when == "teardown" for report in self._reports.get(nodeid, ()))


def _report(item: pytest.Item, outcome: Any, longrepr: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome=outcome,
        longrepr=longrepr,
        when="setup",
    )
