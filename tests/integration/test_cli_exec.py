"""`reconciler exec` as a program: streams, signals, exit codes, and a real terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Config, Engine
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

Done = subprocess.CompletedProcess[str]


class Cli:
    """Runs `reconciler exec` on one container, web."""

    def __init__(self, run_dirs: RunDirs) -> None:
        self.environ = {**os.environ, **run_dirs.environ, "TERM": "vt100", "NO_COLOR": "1"}

    def run(self, *arguments: str, stdin: str = "", exits: int = 0) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == exits, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "reconciler", "exec", *arguments]


@pytest.fixture
def cli(run_dirs: RunDirs, engine: Engine) -> Cli:
    engine.create("web", Config(command=("sleep", "1000"), env={"A": "init"})).start()
    return Cli(run_dirs)


def test_output_and_errors_go_to_their_own_streams(cli: Cli) -> None:
    done = cli.run("web", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["web", "--", "sh", "-c", "echo $0 -i", "-t"],
        ["web", "sh", "-c", "echo $0 -i", "-t"],
        ["-e", "B=1", "web", "-w", "/tmp", "sh", "-c", "echo $0 -i", "-t"],
        ["--debug", "web", "sh", "-c", "echo $0 -i", "-t"],
    ],
)
def test_the_command_begins_after_dashes_or_after_the_name(cli: Cli, arguments: list[str]) -> None:
    assert cli.run(*arguments).stdout == "-t -i\n"


def test_dashes_in_the_command_belong_to_it(cli: Cli) -> None:
    assert cli.run("web", "--", "echo", "a", "--", "b").stdout == "a -- b\n"
    assert cli.run("web", "echo", "a", "--", "b").stdout == "a -- b\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_the_commands(cli: Cli, command: list[str], code: int) -> None:
    cli.run("web", "--", *command, exits=code)


def test_what_reconciler_fails_at_exits_125(cli: Cli, engine: Engine) -> None:
    done = cli.run("wbe", "--", "true", exits=125)
    assert "cannot find container wbe: did you mean web?" in done.stderr
    engine.load("web").stop(signal.SIGKILL, 0)
    done = cli.run("web", "--", "true", exits=125)
    assert "cannot execute a command in web: it is not running" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["web"], "no command is given"),
        (["web", "-e", "=x", "--", "true"], "'=x' is not of the form K=V"),
        (["web", "-e", "NOT_SET_HERE", "--", "true"], "NOT_SET_HERE has no value here"),
        (["-it", "web", "--", "true"], "-i -t needs a terminal on standard input"),
    ],
)
def test_wrong_usage_exits_64(cli: Cli, arguments: list[str], said: str) -> None:
    assert said in cli.run(*arguments, exits=64).stderr


def test_user_directory_and_variables_can_be_chosen(cli: Cli) -> None:
    cli.environ["C"] = "mine"
    options = ["-u", "0:0", "-w", "/tmp", "-e", "A=new", "-e", "C"]
    script = "id -u; pwd; echo $A $C"
    assert cli.run(*options, "web", "--", "sh", "-c", script).stdout == "0\n/tmp\nnew mine\n"


def test_standard_input_is_passed_on_with_i_alone(cli: Cli) -> None:
    assert cli.run("-i", "web", "--", "cat", stdin="hello\n").stdout == "hello\n"
    assert cli.run("web", "--", "cat", stdin="hello\n").stdout == ""


def test_much_goes_through_unchanged_both_ways(cli: Cli) -> None:
    text = "0123456789abcde\n" * 2**17
    assert cli.run("-i", "web", "--", "cat", stdin=text).stdout == text


def test_input_that_the_command_does_not_read_does_not_hold_it_up(cli: Cli) -> None:
    assert cli.run("-i", "web", "--", "echo", "done", stdin="x" * 2**20).stdout == "done\n"


def test_what_the_command_leaves_running_does_not_hold_it_up(cli: Cli) -> None:
    assert cli.run("web", "--", "sh", "-c", "sleep 1000 & echo done").stdout == "done\n"


def test_our_files_are_not_to_be_had_inside(cli: Cli, tmp_path: Path) -> None:
    with open(tmp_path / "out", "w+") as out:
        command = cli.command("web", "--", "sh", "-c", "readlink /proc/self/fd/1")
        subprocess.run(command, env=cli.environ, stdout=out, check=True)
        out.seek(0)
        assert out.read().startswith("pipe:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(cli: Cli, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 7' {name}; echo up; while :; do read x < /dev/zero; done"
    script = script.replace("read x < /dev/zero", "sleep 0.05")
    with subprocess.Popen(
        cli.command("web", "--", "sh", "-c", script),
        env=cli.environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.read() == f"got {name}\n"
        assert process.wait(30) == 7


def test_the_command_ends_when_exec_is_killed(cli: Cli, engine: Engine) -> None:
    with subprocess.Popen(
        cli.command("web", "--", "sh", "-c", "echo up; exec sleep 1000"),
        env=cli.environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(engine.load("web").processes()) == 2
        process.kill()
    while len(engine.load("web").processes()) > 1:
        os.sched_yield()


def test_a_reader_that_goes_away_ends_the_command(cli: Cli, engine: Engine) -> None:
    words = " ".join(cli.command("web", "--", "sh", "-c", "'yes; sleep 1000'"))
    script = f"{words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=cli.environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("y\n", "")
    assert done.returncode == 141


# --- on a terminal


class Terminal:
    """A terminal with `reconciler exec` on it: what it shows, and keys to press."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (30, 100))
        self.before = termios.tcgetattr(self.slave)
        self.shown = ""
        self.process = subprocess.Popen(
            cli.command(*arguments),
            env=cli.environ,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=self._take,  # noqa: PLW1509 - it becomes the controlling terminal
        )

    def _take(self) -> None:
        import fcntl

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def expect(self, text: str) -> None:
        """Read until `text` is shown, and forget what was shown up to there."""
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], 20)
            assert ready, f"{text!r} does not come; there is {self.shown!r}"
            self.shown += os.read(self.master, 4096).decode()
        self.shown = self.shown.partition(text)[2]

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.master, (rows, columns))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@contextlib.contextmanager
def terminal(cli: Cli, *arguments: str) -> Iterator[Terminal]:
    made = Terminal(cli, *arguments)
    try:
        yield made
    finally:
        made.close()


def test_a_shell_on_a_terminal_is_interactive(cli: Cli) -> None:
    with terminal(cli, "-it", "web", "sh") as shown:
        shown.press("tty; echo $TERM $((40+2)); stty size\r")
        shown.expect("/dev/pts/0")
        shown.expect("vt100 42")
        shown.expect("30 100")
        shown.press("exit 9\r")
        assert shown.process.wait(20) == 9
        assert termios.tcgetattr(shown.slave) == shown.before


def test_the_terminal_inside_is_resized_with_ours(cli: Cli) -> None:
    script = "trap 'stty size; exit 3' WINCH; echo up; while :; do sleep 0.05; done"
    with terminal(cli, "-it", "web", "--", "sh", "-c", script) as shown:
        shown.expect("up")
        shown.resize(44, 132)
        shown.expect("44 132")
        assert shown.process.wait(20) == 3


def test_ctrl_c_is_a_key_for_the_command_inside(cli: Cli) -> None:
    script = "trap 'echo got it; exit 4' INT; echo up; while :; do sleep 0.05; done"
    with terminal(cli, "-it", "web", "--", "sh", "-c", script) as shown:
        shown.expect("up")
        assert not termios.tcgetattr(shown.slave)[3] & termios.ICANON
        shown.press("\x03")
        shown.expect("got it")
        assert shown.process.wait(20) == 4
        assert termios.tcgetattr(shown.slave) == shown.before


def test_the_terminal_is_restored_when_exec_is_ended_by_a_signal(cli: Cli) -> None:
    with terminal(cli, "-it", "web", "--", "sh", "-c", "echo up; exec sleep 1000") as shown:
        shown.expect("up")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.process.wait(20) == 128 + signal.SIGTERM
        assert termios.tcgetattr(shown.slave) == shown.before


def test_the_terminal_is_restored_when_the_container_ends(cli: Cli, engine: Engine) -> None:
    with terminal(cli, "-it", "web", "--", "sh", "-c", "echo up; exec sleep 1000") as shown:
        shown.expect("up")
        engine.load("web").stop(signal.SIGKILL, 0)
        assert shown.process.wait(20) == 128 + signal.SIGKILL
        assert termios.tcgetattr(shown.slave) == shown.before


def test_a_command_that_cannot_run_leaves_the_terminal_as_it_is(cli: Cli) -> None:
    with terminal(cli, "-it", "web", "no-such-command") as shown:
        shown.expect("no-such-command is not on the PATH inside the container")
        assert shown.process.wait(20) == 127
        assert termios.tcgetattr(shown.slave) == shown.before


def test_a_terminal_can_be_had_without_one_of_ours(cli: Cli) -> None:
    assert cli.run("-t", "web", "--", "stty", "size").stdout == "24 80\n"
