"""Memory files: sealed copies that nobody can change. Source: memfd_create(2), fcntl(2)."""

from __future__ import annotations

import errno
import fcntl
import os

_MFD_EXEC = 0x10  # since Linux 6.3


def make_sealed_memfd(name: str, data: bytes | int, *, is_program: bool = False) -> int:
    """Return the fd of a memory file with `data` (bytes, or an fd to copy), sealed for good.

    A program can be executed also where a memory file is not, unless it is told (vm.memfd_noexec).

    Raises: OSError.
    """
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    fd = _create_program(name, flags) if is_program else os.memfd_create(name, flags)
    try:
        if isinstance(data, int):
            size = os.fstat(data).st_size
            while size > 0:
                size -= os.sendfile(fd, data, None, size) or size
        else:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _create_program(name: str, flags: int) -> int:
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError as error:
        if error.errno == errno.EACCES:
            text = "no program may be executed from memory: the sysctl vm.memfd_noexec is 2"
            raise PermissionError(errno.EACCES, text, name) from error
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)


def read_memfd(fd: int) -> bytes:
    """Return the whole content of a memory file from its start. Raises: OSError."""
    size, parts, offset = os.fstat(fd).st_size, [], 0
    while offset < size and (chunk := os.pread(fd, size - offset, offset)):
        parts.append(chunk)
        offset += len(chunk)
    return b"".join(parts)
