"""The completion scripts, in the shells that they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import Config, Engine
from reconciler.cli.verbs import VERBS
from tests.conftest import RunDirs
from tests.integration.test_cli_exec import Cli, terminal

pytestmark = pytest.mark.requires_root


class ShellCli(Cli):
    """Runs a shell in which `reconciler` is a command."""

    def __init__(self, run_dirs: RunDirs, tmp_path: Path) -> None:
        super().__init__(run_dirs)
        program = tmp_path / "bin" / "reconciler"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
        program.chmod(0o755)
        self.environ["PATH"] = f"{program.parent}:{self.environ['PATH']}"
        self.environ["PS1"] = "$ "

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return list(arguments)


@pytest.fixture
def shell(run_dirs: RunDirs, engine: Engine, tmp_path: Path) -> ShellCli:
    for name in ("web", "web-two", "db"):
        engine.create(name, Config(command=("sleep", "1000")))
    return ShellCli(run_dirs, tmp_path)


def complete(shell: ShellCli, *words: str) -> list[str]:
    """Return what bash offers for the last word, by its own completion functions."""
    listed = " ".join(f"'{word}'" for word in ("reconciler", *words))
    script = (
        "source <(reconciler completion bash); compopt() { :; }; "
        f"COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _reconciler; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = shell.run("bash", "-c", script)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_verbs(shell: ShellCli) -> None:
    assert complete(shell, "") == list(VERBS)
    assert complete(shell, "wa") == ["watch", "wait"]
    assert complete(shell, "--output", "json", "va") == ["validate"]


def test_bash_completes_options_and_their_values(shell: ShellCli) -> None:
    assert complete(shell, "logs", "web", "--ti") == ["--timestamps"]
    assert complete(shell, "logs", "--stream", "") == ["stdout", "stderr"]
    assert complete(shell, "status", "--output", "") == ["table", "json", "yaml"]
    assert complete(shell, "-o", "y") == ["yaml"]
    assert complete(shell, "--run") == ["--run-dir"]
    assert complete(shell, "wait", "web", "--for", "run") == ["running"]
    assert "--for" in complete(shell, "wait", "-")
    assert "--for" not in complete(shell, "logs", "-")


def test_bash_completes_names_and_what_follows_them(shell: ShellCli) -> None:
    assert complete(shell, "restart", "") == ["db", "web", "web-two"]
    assert complete(shell, "restart", "db", "web") == ["web", "web-two"]
    assert complete(shell, "logs", "--tail", "5", "d") == ["db"]
    assert complete(shell, "logs", "db", "") == []
    assert complete(shell, "signal", "db", "US") == ["USR1", "USR2"]
    assert complete(shell, "explain", "CommandNotF") == ["CommandNotFound"]
    assert "bash" in complete(shell, "exec", "-it", "db", "bas")
    assert complete(shell, "version", "") == []


def test_bash_completes_files_for_sources(shell: ShellCli, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert complete(shell, "apply", f"{tmp_path}/co") == [f"{tmp_path}/conf"]
    assert complete(shell, "apply", "--run-dir", f"{tmp_path}/co") == [f"{tmp_path}/conf"]


def test_the_tab_key_completes_in_a_real_bash(shell: ShellCli) -> None:
    with terminal(shell, "bash", "--norc", "--noprofile", "-i") as bash:
        bash.expect("$ ")
        bash.press("source <(reconciler completion bash); echo rea''dy\r")
        bash.expect("ready\r\n")
        bash.press("reconciler sig\td\tHU\t")
        bash.expect("signal db HUP ")


def test_bash_zsh_and_fish_scripts_name_every_verb(shell: ShellCli) -> None:
    for kind in ("bash", "zsh", "fish"):
        script = shell.run("reconciler", "completion", kind).stdout
        assert all(verb in script for verb in VERBS)
        assert "reconciler completion names" in script


@pytest.mark.requires_command("zsh")
def test_the_tab_key_completes_in_a_real_zsh(shell: ShellCli) -> None:
    with terminal(shell, "zsh", "-f", "-i") as zsh:
        zsh.press("autoload -Uz compinit; compinit -D -u; bindkey '^I' complete-word\r")
        zsh.press("source <(reconciler completion zsh); echo rea''dy\r")
        zsh.expect("ready\r\n")
        zsh.press("reconciler sig\td\tHU\t\r")
        zsh.expect("cannot signal db: it is not running")


@pytest.mark.requires_command("fish")
def test_fish_completes_verbs_options_and_names(shell: ShellCli, tmp_path: Path) -> None:
    shell.environ["HOME"] = str(tmp_path)

    def offered(line: str) -> list[str]:
        script = f"reconciler completion fish | source; complete -C '{line}'"
        done = shell.run("fish", "-c", script)
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    assert offered("reconciler wa") == ["wait", "watch"]
    assert offered("reconciler logs w") == ["web", "web-two"]
    assert "--timestamps" in offered("reconciler logs --ti")
    assert offered("reconciler status --output y") == ["yaml"]


def test_names_are_told_fast_and_without_a_run_directory(shell: ShellCli, tmp_path: Path) -> None:
    assert shell.run("reconciler", "completion", "names").stdout == "db\nweb\nweb-two\n"
    missing = str(tmp_path / "missing")
    assert shell.run("reconciler", "completion", "names", "--run-dir", missing).stdout == ""
    assert not os.path.exists(missing)
    program = (
        "import sys; from reconciler.cli.main import main; main(['completion', 'names'])\n"
        "print({'yaml', 'jsonschema', 'reconciler.cgroup.choose', 'subprocess'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=shell.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "db\nweb\nweb-two\nset()\n"
