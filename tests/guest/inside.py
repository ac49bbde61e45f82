"""A pytest plugin for the run inside the guest: each report goes to the host as a line of JSON."""

from __future__ import annotations

import json
import os
from typing import IO, Any

import pytest

from tests.guest.machine.guest import REPORTS


class Reporter:
    """Writes reports as they come."""

    def __init__(self, config: pytest.Config, stream: IO[str]) -> None:
        self.config = config
        self.stream = stream

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.send(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.send(report)

    def send(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        data: dict[str, Any] | None = self.config.hook.pytest_report_to_serializable(
            config=self.config, report=report
        )
        self.stream.write(json.dumps(data) + "\n")
        self.stream.flush()

    def pytest_unconfigure(self) -> None:
        self.stream.close()


def pytest_configure(config: pytest.Config) -> None:
    if os.path.exists(REPORTS):
        stream = open(REPORTS, "w", encoding="utf-8")  # noqa: SIM115  # closed at the end
        config.pluginmanager.register(Reporter(config, stream))
