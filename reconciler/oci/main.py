"""The entrance of `reconciler-oci`: becomes a sealed copy of the interpreter where that is needed.

What is imported before is paid for twice: next to nothing. `sealing` tells why.
"""

from __future__ import annotations

import gc
import os
import sys

from reconciler.oci.sealing import SealNeeded, become_sealed

_SEALED = {"create", "exec", "restore"}
_SNAPSHOTS = {"create", "run", "exec", "start", "state", "kill", "delete"}


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code. Raises: OSError without a sealed copy.

    Without `argv` it is the process's own, which ends here: taking the interpreter apart in good
    order would be a tenth of its life.
    """
    words = sys.argv[1:] if argv is None else argv
    if not _SEALED.isdisjoint(words):
        become_sealed(words)
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
        become_sealed(words)
        raise
    except OSError as error:
        sys.stderr.write(f"cannot write the output: {error.strerror}\n")
        code = 1
    if argv is None:
        sys.stderr.flush()
        if snapshot is not None and code == 0:
            snapshot.save()
        os._exit(code)
    return code
