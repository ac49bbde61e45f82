"""Run a program with its input given and its output caught, without `subprocess`.

Called by the steps and by the OCI command line, for hooks. Sources: posix_spawn(3),
memfd_create(2), pidfd_open(2).
"""

from __future__ import annotations

import os
import select

from reconciler.lean import signal

_OUTPUT_SHOWN = 2048


def run_program(
    path: str, argv: list[str], env: list[str], given: bytes, timeout_s: float | None
) -> str | None:
    """Run it to its end; return None when it succeeded, else how it failed, for a message.

    `argv` without elements: the path. `env` are NAME=VALUE, all that it gets; `given` is its
    standard input. It is killed when the time is over.

    Raises: OSError when it cannot be run.
    """
    names = dict(item.partition("=")[::2] for item in env)
    stdin, output = os.memfd_create("input"), os.memfd_create("output")
    try:
        os.write(stdin, given)
        os.lseek(stdin, 0, os.SEEK_SET)
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        defaults = [signal.SIGPIPE, signal.SIGXFSZ]
        try:
            pid = os.posix_spawn(
                path, argv or [path], names, file_actions=actions, setsigdef=defaults
            )
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        status = _await(pid, timeout_s)
        if status == 0:
            return None
        said = os.pread(output, _OUTPUT_SHOWN, 0).decode(errors="replace").strip()
        return _describe(status, timeout_s) + (f": {said}" if said else "")
    finally:
        os.close(stdin)
        os.close(output)


def _await(pid: int, timeout_s: float | None) -> int | None:
    """Return the wait status; None when the time was over and it was killed."""
    pidfd = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        is_over = not poller.poll(None if timeout_s is None else timeout_s * 1000)
        if is_over:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        return None if is_over else status
    finally:
        os.close(pidfd)


def _describe(status: int | None, timeout_s: float | None) -> str:
    if status is None:
        return f"did not end within {timeout_s:g} s"
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by signal {-code}" if code < 0 else f"failed with exit status {code}"
