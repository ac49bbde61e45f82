"""From the arguments of `install` to what its units are for. Called by `install` and `doctor`."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import sys

from reconciler.cli.failure import usage_error
from reconciler.cli.instance import sources_of
from reconciler.cli.units import Setup
from reconciler.engine import dirs
from reconciler.errors import ErrorCode, ReconcilerError

DEFAULT_EVERY_S = 60.0


def make_setup(args: argparse.Namespace) -> Setup:
    """Return what the units are for. Raises: Usage."""
    if args.user and os.geteuid() == 0:
        raise usage_error("--user is for a user other than root; leave it out")
    if args.every is not None and not args.timer:
        raise usage_error("--every is how often a timer runs: add --timer, or leave it out")
    run_dir = dirs.check_run_dir(os.path.abspath(args.run_dir or dirs.default_run_dir()))
    return Setup(
        name=dirs.unit_name(run_dir),
        python=sys.executable,
        run_dir=run_dir,
        state_dir=os.path.abspath(args.state_dir or dirs.default_state_dir()),
        sources=[os.path.abspath(source) for source in sources_of(args)],
        is_user=args.user,
        every_s=_every_s(args) if args.timer else None,
        command=_command(args, run_dir),
    )


def _every_s(args: argparse.Namespace) -> float:
    return DEFAULT_EVERY_S if args.every is None else float(args.every)


def _command(args: argparse.Namespace, run_dir: str) -> list[str]:
    """Return the command line that asks for the same units from wherever it is run."""
    words = ["reconciler", "install", *(os.path.abspath(source) for source in args.sources)]
    words += ["--user"] if args.user else []
    words += ["--timer", "--every", f"{_every_s(args):g}s"] if args.timer else []
    if dirs.unit_name(run_dir) != "reconciler":
        words += ["--run-dir", run_dir]
    state_dir = args.state_dir or os.environ.get("RECONCILER_STATE_DIR")
    return [*words, "--state-dir", os.path.abspath(state_dir)] if state_dir else words


def check_interpreter(python: str) -> None:
    """Refuse an interpreter that finds no reconciler unless it is run from our directory.

    Raises: ConfigInvalid.
    """
    command = [python, "-P", "-c", "import reconciler.cli.main"]
    environ = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    if subprocess.run(command, cwd="/", env=environ, capture_output=True, check=False).returncode:
        message = (
            f"cannot install units: {python} does not find reconciler from another directory; "
            "install it there: pip install ."
        )
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, path=python)


def user_name() -> str:
    """Return our user's name."""
    return pwd.getpwuid(os.geteuid()).pw_name


def user_lingers() -> bool:
    """Tell whether our user's manager runs without a login (loginctl(1))."""
    return os.path.exists(f"/var/lib/systemd/linger/{user_name()}")
