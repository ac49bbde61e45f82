"""`reconciler top`, on a real terminal and as one table."""

from __future__ import annotations

import json
import signal
import sys
import termios

import pytest

from reconciler import Config, Engine
from reconciler.model.config import MemoryLimits, PidsLimits, Resources
from tests.conftest import RunDirs
from tests.integration.test_cli_exec import Cli, terminal

pytestmark = pytest.mark.requires_root


class TopCli(Cli):
    """Runs `reconciler top`."""

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "reconciler", "top", *arguments]


@pytest.fixture
def cli(run_dirs: RunDirs, engine: Engine) -> Cli:
    limits = Resources(memory=MemoryLimits(max_bytes=2**26), pids=PidsLimits(max=20))
    engine.create("a-idle", Config(command=("sleep", "1000"), resources=limits)).start()
    engine.create("busy", Config(command=("sh", "-c", "while :; do :; done"))).start()
    return TopCli(run_dirs)


def test_without_a_terminal_it_prints_one_table_the_busiest_first(cli: Cli) -> None:
    header, busy, idle = cli.run().stdout.splitlines()
    assert header.split()[:5] == ["NAME", "CPU%", "MEMORY", "LIMIT", "MEM%"]
    assert busy.split()[0] == "busy"
    assert idle.split()[0] == "a-idle"
    assert idle.split()[3] == "64Mi"
    assert idle.split()[5] == "1/20"


def test_json_has_figures(cli: Cli) -> None:
    busy, idle = json.loads(cli.run("--output", "json").stdout)["items"]
    assert (busy["name"], idle["name"]) == ("busy", "a-idle")
    assert busy["cpuPercent"] > 1 > idle["cpuPercent"]
    assert (idle["memoryLimitBytes"], idle["tasksLimit"], idle["tasks"]) == (2**26, 20, 1)
    assert busy["memoryLimitBytes"] is None


def test_names_choose_and_an_unknown_one_is_told(cli: Cli) -> None:
    items = json.loads(cli.run("a-idle", "-o", "json").stdout)["items"]
    assert [item["name"] for item in items] == ["a-idle"]
    assert "did you mean busy?" in cli.run("buzy", exits=1).stderr


def test_when_nothing_runs_it_says_so(cli: Cli, engine: Engine) -> None:
    for container in engine.list():
        container.destroy()
    assert cli.run().stdout == "no container is running\n"


@pytest.mark.parametrize(("keys", "code"), [("q", 0), ("\x03", 0)])
def test_on_a_terminal_it_draws_until_it_is_ended(cli: Cli, keys: str, code: int) -> None:
    with terminal(cli, "--interval", "100ms") as shown:
        shown.expect("\x1b[?1049h")
        for _ in range(3):
            shown.expect("q ends")
            shown.expect("busy")
        shown.press(keys)
        shown.expect("\x1b[?25h\x1b[?1049l")
        assert shown.process.wait(20) == code
        assert termios.tcgetattr(shown.slave) == shown.before


def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(cli: Cli) -> None:
    with terminal(cli) as shown:
        shown.expect("q ends")
        shown.process.send_signal(signal.SIGTERM)
        shown.expect("\x1b[?25h\x1b[?1049l")
        assert shown.process.wait(20) == 128 + signal.SIGTERM
        assert termios.tcgetattr(shown.slave) == shown.before


def test_it_draws_anew_when_the_window_has_another_size(cli: Cli) -> None:
    with terminal(cli, "--interval", "1h") as shown:
        shown.expect("q ends")
        shown.resize(2, 40)
        shown.expect("... and 4 more lines")
        shown.press("q")
        assert shown.process.wait(20) == 0
