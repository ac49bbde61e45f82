"""Nothing in a container can write to the file that runs on the host (CVE-2019-5736).

What starts a process is therefore a sealed copy of the interpreter, which `main` becomes first. The
exception is `run`: the process it starts is the first in its pid namespace, of which only it has a
procfs, so nobody could look at it before its command, and its command is executed from a
`linux.trampoline`. That spares the start of a second interpreter. An init that waits for `start`
(`create`) is there for as long, and others may join its namespace: it stays with the copy.
"""

from __future__ import annotations

import os
import sys

from reconciler.lean import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from reconciler.model.config import Config

_PYTHON_PATHS = ("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR")  # where it would load code from
_OF_FILES = frozenset({"DAC_OVERRIDE", "DAC_READ_SEARCH"})  # execute what the user may not
_NAME = "reconciler-oci"
_BOOT = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));from reconciler.oci.main import main;"
    "sys.exit(main())"
)


class SealNeeded(Exception):
    """The command line has to be run again, by a sealed copy of the interpreter."""


def is_sealed() -> bool:
    """Tell whether we are a sealed copy."""
    return os.readlink("/proc/self/exe").startswith(f"/memfd:{_NAME}")


def become_sealed(words: list[str]) -> NoReturn:
    """Execute this very command line in a sealed copy of the interpreter.

    The copy is isolated: it loads no code from where an environment variable says. Raises: OSError.
    """
    from reconciler.linux.memfd import make_sealed_memfd

    with open("/proc/self/exe", "rb", buffering=0) as source:
        interpreter = make_sealed_memfd(_NAME, source.fileno(), is_program=True)
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    flags = ["-I", "-S", "-B"] if sys.dont_write_bytecode else ["-I", "-S"]
    command = [sys.executable, *flags, "-c", _BOOT, package_root, *words]
    os.execve(interpreter, command, os.environ)


def must_be_sealed(config: Config) -> bool:
    """Tell whether `run` has to be a sealed copy for this container.

    Its trampoline makes system calls, which a filter may forbid, and is executed before the
    command, so that execve(2) gives it what was meant for that: a label, and other capabilities;
    hooks in the container execute its files as well. Where pids, mounts or a user namespace are
    shared others might look.

    Raises: ConfigInvalid, NotSupported for its filter.
    """
    from reconciler.linux.trampoline import has_trampoline
    from reconciler.model.isolation import NamespaceMode

    isolation, namespaces = config.isolation, config.isolation.namespaces
    return (
        namespaces.pid != NamespaceMode.PRIVATE
        or namespaces.mount != NamespaceMode.PRIVATE
        or namespaces.user not in tuple(NamespaceMode)
        or bool(isolation.hooks.start_container)
        or bool(isolation.apparmor_profile or isolation.selinux_label)
        or _is_changed_before(config)
        or not has_trampoline()
        or any(name in os.environ for name in _PYTHON_PATHS)
        or (isolation.seccomp is not None and not _allows_trampoline(isolation.seccomp))
    )


def _is_changed_before(config: Config) -> bool:
    """Tell whether execve(2) of the trampoline changes capabilities that count at the command's.

    That is for the files that may be executed, and for the capabilities of files where a process
    gets no new ones (capabilities(7)).
    """
    given = config.isolation.capabilities
    if given is None:
        return False
    effective, permitted, inheritable = map(
        set, (given.effective, given.permitted, given.inheritable)
    )
    if config.user_or_default().partition(":")[0] == "0":
        return bool(_OF_FILES & (effective ^ {*given.bounding, *inheritable}))
    after = permitted & inheritable & {*given.ambient}
    is_less = config.security.no_new_privileges and permitted != after
    return is_less or bool(_OF_FILES & (effective ^ after))


def _allows_trampoline(seccomp: str) -> bool:
    from reconciler.engine.seccomp_oci import compile_profile

    return compile_profile(seccomp).allows_trampoline
