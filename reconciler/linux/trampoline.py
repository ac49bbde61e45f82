"""A program of a few instructions that stands between the set-up of a container and its command.

A command is executed from something, which for that moment is what the container can name by
/proc/self/exe, and could keep and overwrite if it were the host's interpreter (CVE-2019-5736). It
is this program instead: a sealed memory file that does nothing but execute the command. Its
arguments are a report, the file to execute, and the arguments of that. Where the file cannot be
executed it puts the errno into the report, a JSON object, and writes it to a descriptor, which
is closed on success.

Source: elf(5), execve(2), syscall(2) for the calling conventions.
"""

from __future__ import annotations

import fcntl
import os
import struct

from reconciler.lean import Any, NoReturn, json
from reconciler.linux.memfd import make_sealed_memfd

# What it and its own execution ask of a filter; stat(3) is one of two.
SYSTEM_CALLS = ("newfstatat", "stat", "fcntl", "execveat", "execve", "write", "exit_group")

_NAME = "reconciler-start"
_FD_MAX = 0xFFFF
_ADDRESS = 0x400000
_EHDR_SIZE, _PHDR_SIZE = 64, 56
_ET_EXEC, _PT_LOAD, _PT_GNU_STACK = 2, 1, 0x6474E551
_READ_WRITE, _READ_EXECUTE = 6, 5

# The report begins so, with room for three digits that end at byte 12.
_ERRNO_KEY, _ROOM = '{"errno":', "   "

# The descriptor is a number in the code. When F_SETFD fails it is not open: then it is not the
# set-up that has executed this, but what it executed, by `#!/proc/self/exe`.
_X86_64 = """
    bf {fd}             # mov edi, fd
    be 02000000         # mov esi, F_SETFD
    ba 01000000         # mov edx, FD_CLOEXEC
    b8 48000000         # mov eax, fcntl
    0f05                # syscall
    85c0                # test eax, eax
    7850                # js exit
    488b0c24            # mov rcx, [rsp]            the number of arguments
    488b7c2410          # mov rdi, [rsp+16]         the second: the file
    488d742418          # lea rsi, [rsp+24]         the third and further
    488d54cc10          # lea rdx, [rsp+rcx*8+16]   the environment
    b8 3b000000         # mov eax, execve
    0f05                # syscall
    f7d8                # neg eax
    488b742408          # mov rsi, [rsp+8]          the first: the report
    488d7e0c            # lea rdi, [rsi+12]
    b9 0a000000         # mov ecx, 10
    31d2                # digit: xor edx, edx
    f7f1                # div ecx
    80c230              # add dl, '0'
    48ffcf              # dec rdi
    8817                # mov [rdi], dl
    85c0                # test eax, eax
    75f0                # jne digit
    31d2                # xor edx, edx
    ffc2                # length: inc edx
    803c1600            # cmp byte [rsi+rdx], 0
    75f8                # jne length
    bf {fd}             # mov edi, fd
    b8 01000000         # mov eax, write
    0f05                # syscall
    bf 7f000000         # exit: mov edi, 127
    b8 e7000000         # mov eax, exit_group
    0f05                # syscall
"""
_AARCH64 = """
    {mov}               # mov w0, fd
    410080d2            # mov x1, F_SETFD
    220080d2            # mov x2, FD_CLOEXEC
    280380d2            # mov x8, fcntl
    010000d4            # svc 0
    2003f837            # tbnz w0, 31, exit
    e30340f9            # ldr x3, [sp]              the number of arguments
    e00b40f9            # ldr x0, [sp, 16]          the second: the file
    e1630091            # add x1, sp, 24            the third and further
    e2430091            # add x2, sp, 16
    420c038b            # add x2, x2, x3, lsl 3     the environment
    a81b80d2            # mov x8, execve
    010000d4            # svc 0
    e003004b            # neg w0, w0
    e10740f9            # ldr x1, [sp, 8]           the first: the report
    23300091            # add x3, x1, 12
    44018052            # mov w4, 10
    0508c41a            # digit: udiv w5, w0, w4
    a680041b            # msub w6, w5, w4, w0
    c6c00011            # add w6, w6, '0'
    66fc1f38            # strb w6, [x3, -1]!
    e003052a            # mov w0, w5
    60ffff35            # cbnz w0, digit
    020080d2            # mov x2, 0
    42040091            # length: add x2, x2, 1
    26686238            # ldrb w6, [x1, x2]
    c6ffff35            # cbnz w6, length
    {mov}               # mov w0, fd
    080880d2            # mov x8, write
    010000d4            # svc 0
    e00f8052            # exit: mov w0, 127
    c80b80d2            # mov x8, exit_group
    010000d4            # svc 0
"""
# By machine: its number in ELF, and its code.
_MACHINES = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}


def has_trampoline() -> bool:
    """Tell whether there is one for this machine."""
    return os.uname().machine in _MACHINES


def make_trampoline(status_fd: int) -> int:
    """Return the fd of the program that reports to `status_fd`, close-on-exec.

    Raises: OSError; KeyError where there is none for this machine.
    """
    return make_sealed_memfd(_NAME, make_image(os.uname().machine, status_fd), is_program=True)


def make_image(machine: str, status_fd: int) -> bytes:
    """Return the program for a machine, an ELF file. Raises: KeyError."""
    assert 0 <= status_fd <= _FD_MAX
    number, listing = _MACHINES[machine]
    words = {
        "fd": status_fd.to_bytes(4, "little").hex(),
        "mov": (0x52800000 | status_fd << 5).to_bytes(4, "little").hex(),
    }
    rows = [row.partition("#")[0] for row in listing.splitlines()]
    code = bytes.fromhex("".join(rows).format(**words))
    start = _EHDR_SIZE + 2 * _PHDR_SIZE
    size = start + len(code)
    # e_ident, e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, and six sizes
    header = struct.pack(
        "<4s5B7xHHI3QI6H",
        *(b"\x7fELF", 2, 1, 1, 0, 0, _ET_EXEC, number, 1, _ADDRESS + start, _EHDR_SIZE, 0, 0),
        *(_EHDR_SIZE, _PHDR_SIZE, 2, 0, 0, 0),
    )
    # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
    loaded = (_PT_LOAD, _READ_EXECUTE, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
    stack = (_PT_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    return header + struct.pack("<2I6Q", *loaded) + struct.pack("<2I6Q", *stack) + code


def make_report(message: dict[str, Any]) -> str:
    """Return the program's first argument: what it is to say, with the errno, and a newline."""
    text = json.dumps(message)
    return f"{_ERRNO_KEY}{_ROOM},{text[1:]}\n"


def execute_through(
    trampoline: int,
    status_fd: int,
    message: dict[str, Any],
    path: str,
    argv: list[str],
    env: dict[str, str],
) -> NoReturn:
    """Become the program `trampoline`, which becomes `path` or reports. Raises: OSError.

    A filter may be in force: it meets no more than SYSTEM_CALLS.
    """
    os.stat(path)  # what is missing later is not the file
    fcntl.fcntl(status_fd, fcntl.F_SETFD, 0)
    os.execve(trampoline, [make_report(message), path, *argv], env)
