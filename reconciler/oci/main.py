"""The entrance of `reconciler-oci`: becomes a sealed copy of the interpreter where that is needed.

It is for verbs that start a process, so that nothing in a container can write to the file that runs
on the host (CVE-2019-5736), and no environment variable for Python has a say. What is imported
before is paid for twice: next to nothing.
"""

from __future__ import annotations

import os
import sys

_SEALED = {"create", "run", "exec", "restore"}
_SEALED_NAME = "reconciler-oci"
_BOOT = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));from reconciler.oci.main import main;"
    "sys.exit(main())"
)


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code; raises nothing.

    Without `argv` it is the process's own, which ends here: taking the interpreter apart in good
    order would be a tenth of its life.
    """
    words = sys.argv[1:] if argv is None else argv
    if not _SEALED.isdisjoint(words):
        _become_sealed(words)
    from reconciler.lean.importer import install

    if argv is None:
        install()
    from reconciler.oci.command import run

    try:
        code = run(words)
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"cannot write the output: {error.strerror}\n")
        code = 1
    if argv is None:
        sys.stderr.flush()
        os._exit(code)
    return code


def _become_sealed(words: list[str]) -> None:
    """Execute this very command line in a sealed copy of the interpreter, unless it is one."""
    if os.readlink("/proc/self/exe").startswith(f"/memfd:{_SEALED_NAME}"):
        return
    from reconciler.linux.memfd import make_sealed_memfd

    with open("/proc/self/exe", "rb", buffering=0) as source:
        interpreter = make_sealed_memfd(_SEALED_NAME, source.fileno())
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, "-I", "-S", "-c", _BOOT, package_root, *words]
    os.execve(interpreter, command, os.environ)
