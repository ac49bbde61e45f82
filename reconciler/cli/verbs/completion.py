"""`reconciler completion`: scripts that complete verbs, options and names of containers."""

from __future__ import annotations

import argparse
import os

from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  source <(reconciler completion bash)      # for this shell
  reconciler completion bash > /etc/bash_completion.d/reconciler
  reconciler completion zsh > "${fpath[1]}/_reconciler"
  reconciler completion fish > ~/.config/fish/completions/reconciler.fish
  reconciler completion names               # the names that these scripts offer"""

_SHELLS = ("bash", "zsh", "fish")
_NAMES = "names"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument(
        "shell", choices=(*_SHELLS, _NAMES), metavar="SHELL", help="bash, zsh or fish"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script, or the names of all containers."""
    if args.shell == _NAMES:
        names = _names(args.run_dir)
        if args.output != "table":
            emit_data({"items": names}, args.output)
        elif names:
            emit("\n".join(names))
        return 0
    from reconciler.cli.completion import make_script

    script = make_script(args.shell)
    if args.output != "table":
        emit_data({"shell": args.shell, "script": script}, args.output)
    else:
        emit(script)
    return 0


def _names(run_dir: str | None) -> list[str]:
    """Return the names there are records of; a key was pressed, so nothing else is loaded."""
    from reconciler.engine.dirs import default_run_dir
    from reconciler.engine.store import Store

    try:
        return Store(os.path.abspath(run_dir or default_run_dir())).ids()
    except OSError:  # not ours to read: there is nothing to offer
        return []
