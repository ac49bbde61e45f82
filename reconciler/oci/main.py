"""The entrance of `reconciler-oci`: becomes a sealed copy of the interpreter where that is needed.

What is imported before is paid for twice: next to nothing. `sealing` tells why.
"""

from __future__ import annotations

import gc
import os
import sys

from reconciler.oci.sealing import SealNeeded, become_sealed, is_sealed

_SEALED = {"create", "exec", "restore"}
_SNAPSHOTS = {"create", "run", "exec", "start", "state", "kill", "delete"}


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Without `argv` it is the process's own, which ends here: taking the interpreter apart in good
    order would be a tenth of its life.
    """
    words = sys.argv[1:] if argv is None else argv
    _open_streams()
    if not _SEALED.isdisjoint(words) and not is_sealed():
        return _go_on_sealed(words)
    from reconciler.lean.importer import install

    snapshot = None
    if argv is None:
        gc.disable()  # it lives briefly, and what it makes has few cycles
        snapshot = install(next(filter(_SNAPSHOTS.__contains__, words), None))
    from reconciler.oci.command import run

    try:
        code = run(words)
        sys.stdout.flush()
    except SealNeeded:
        return _go_on_sealed(words)
    except OSError as error:
        sys.stderr.write(f"cannot write the output: {error.strerror}\n")
        code = 1
    if argv is None:
        sys.stderr.flush()
        if snapshot is not None and code == 0:
            snapshot.save()
        os._exit(code)
    return code


def _go_on_sealed(words: list[str]) -> int:
    """Become a sealed copy; return the exit code where that cannot be."""
    try:
        become_sealed(words)
    except OSError as error:
        why = error.strerror
        sys.stderr.write(f"cannot execute a sealed copy of the interpreter: {why}\n")
        return 1


def _open_streams() -> None:
    """Have /dev/null for a standard stream that is closed, or a file of ours would become it."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # Python has looked
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)
            setattr(sys, name, open(fd, "r+", closefd=False))  # noqa: SIM115 - for good
