"""Where the arguments of `exec` end and its command begins."""

from __future__ import annotations

import pytest

from reconciler.cli.verbs.exec import split_command


@pytest.mark.parametrize(
    ("line", "ours", "command"),
    [
        ("web -- ls -l", "web", "ls -l"),
        ("web ls -l", "web", "ls -l"),
        ("-it web sh", "-it web", "sh"),
        ("web -i -t -- sh", "web -i -t", "sh"),
        ("-u 0 web id -u", "-u 0 web", "id -u"),
        ("web -u 0 id -u", "web -u 0", "id -u"),
        ("-itu 0 web id", "-itu 0 web", "id"),
        ("--run-dir /x web --user=0 id", "--run-dir /x web --user=0", "id"),
        ("web echo a -- b", "web", "echo a -- b"),
        ("web -- echo a -- b", "web", "echo a -- b"),
        ("-e A=1 -e B web env", "-e A=1 -e B web", "env"),
        ("web", "web", ""),
        ("web --", "web", ""),
        ("", "", ""),
    ],
)
def test_the_command_follows_dashes_or_the_name(line: str, ours: str, command: str) -> None:
    assert split_command(line.split()) == (ours.split(), command.split())
