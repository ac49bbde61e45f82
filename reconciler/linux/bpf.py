"""Device access of a cgroup v2 as a BPF program: a small assembler, and the calls of bpf(2).

Called by the cgroup layer's device control. It may not know which devices are harmless.
Constants are those of linux/bpf.h. Source: bpf(2), kernel/bpf/cgroup.c,
Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import os
import struct

from reconciler.lean import NamedTuple, Sequence, ctypes
from reconciler.linux.libc import bpf, check

BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
BPF_PROG_GET_FD_BY_ID, BPF_PROG_QUERY = 13, 16
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI, BPF_F_REPLACE = 1, 2, 4
BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR = 1, 2
BPF_DEVCG_ACC_MKNOD, BPF_DEVCG_ACC_READ, BPF_DEVCG_ACC_WRITE = 1, 2, 4
ALL_ACCESS = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE

# struct bpf_insn: u8 code; u8 dst_reg:4, src_reg:4; s16 off; s32 imm
_INSTRUCTION = struct.Struct("=BBhi")
_LDX_W, _MOV, _MOV_REG, _AND, _RSH = 0x61, 0xB7, 0xBF, 0x57, 0x77
_JA, _JNE, _JSET, _EXIT = 0x05, 0x55, 0x45, 0x95
_RESULT, _CONTEXT, _TYPE, _ASKED, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5
_PROGRAMS_MAX = 64  # BPF_CGROUP_MAX_PROGS


class DeviceTest(NamedTuple):
    """Allow or deny `access` (BPF_DEVCG_ACC_*) to a kind of devices; None: any."""

    allow: bool
    type: int | None
    major: int | None
    minor: int | None
    access: int


def compile_device_program(tests: Sequence[DeviceTest]) -> bytes:
    """Return a program (array of struct bpf_insn) in which the last test about an access decides.

    What no test is about is denied. Reading, writing and making a node are decided each by itself.
    """
    code = [
        _instruction(_LDX_W, _TYPE, _CONTEXT, 0),
        _instruction(_MOV_REG, _ASKED, _TYPE),
        _instruction(_AND, _TYPE, imm=0xFFFF),
        _instruction(_RSH, _ASKED, imm=16),
        _instruction(_LDX_W, _MAJOR, _CONTEXT, 4),
        _instruction(_LDX_W, _MINOR, _CONTEXT, 8),
    ]
    for test in reversed(tests):
        code += _decide(test)
        if test[1:] == (None, None, None, ALL_ACCESS):
            return b"".join(code)  # the verifier takes no code that cannot be reached
    return b"".join([*code, *_answer(False)])


def _decide(test: DeviceTest) -> list[bytes]:
    """Return the code of one test, which falls through to the next while something is open."""
    if test.access == ALL_ACCESS:
        verdict = _answer(test.allow)
    elif test.allow:
        verdict = [_instruction(_AND, _ASKED, imm=ALL_ACCESS & ~test.access)]
        verdict += [_instruction(_JNE, _ASKED, off=2), *_answer(True)]
    else:
        verdict = [_instruction(_JSET, _ASKED, off=1, imm=test.access)]
        verdict += [_instruction(_JA, off=2), *_answer(False)]
    wanted = ((_TYPE, test.type), (_MAJOR, test.major), (_MINOR, test.minor))
    checks = [(register, value) for register, value in wanted if value is not None]
    skipped = len(verdict) + len(checks)
    jumps = [
        _instruction(_JNE, register, off=skipped - index, imm=value)
        for index, (register, value) in enumerate(checks, start=1)
    ]
    return jumps + verdict


def _answer(is_allowed: bool) -> list[bytes]:
    return [_instruction(_MOV, _RESULT, imm=int(is_allowed)), _instruction(_EXIT)]


def _instruction(code: int, target: int = 0, source: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, target | source << 4, off, imm)


def load_device_program(program: bytes) -> int:
    """Return the descriptor of a program, once the kernel has verified it.

    Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, in the first user namespace.

    Raises: OSError.
    """
    code, license = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    # union bpf_attr: prog_type, insn_cnt, insns, license, log_level ... prog_ifindex,
    # expected_attach_type
    attributes = struct.pack(
        "=IIQQ44xI",
        BPF_PROG_TYPE_CGROUP_DEVICE,
        len(program) // _INSTRUCTION.size,
        ctypes.addressof(code),
        ctypes.addressof(license),
        BPF_CGROUP_DEVICE,
    )
    return _call(BPF_PROG_LOAD, attributes)


def attach_device_program(cgroup_fd: int, program_fd: int, *, is_default: bool) -> None:
    """Put a cgroup v2 and those in it under a program, in place of the one that is attached.

    Those in it may have further ones, all of which must allow an access; with `is_default` one
    of their own takes its place.

    Raises: OSError.
    """
    if is_default:
        _attach(cgroup_fd, program_fd, BPF_F_ALLOW_OVERRIDE)
        return
    former = [_open_program(one) for one in query_device_programs(cgroup_fd)]
    try:
        if former:
            _attach(cgroup_fd, program_fd, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, former[0])
        else:
            _attach(cgroup_fd, program_fd, BPF_F_ALLOW_MULTI)
    finally:
        for fd in former:
            os.close(fd)


def _attach(cgroup_fd: int, program_fd: int, flags: int, replaced_fd: int = 0) -> None:
    # union bpf_attr: target_fd, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd
    fields = (cgroup_fd, program_fd, BPF_CGROUP_DEVICE, flags, replaced_fd)
    _call(BPF_PROG_ATTACH, struct.pack("=IIIII", *fields))


def query_device_programs(cgroup_fd: int) -> list[int]:
    """Return the ids of the programs that are attached to a cgroup itself. Raises: OSError."""
    ids = (ctypes.c_uint32 * _PROGRAMS_MAX)()
    # union bpf_attr: target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
    attributes = ctypes.create_string_buffer(
        struct.pack(
            "=IIIIQI",
            cgroup_fd,
            BPF_CGROUP_DEVICE,
            0,
            0,
            ctypes.addressof(ids),
            _PROGRAMS_MAX,
        ),
        64,
    )
    check(bpf(BPF_PROG_QUERY, attributes, len(attributes)))
    (count,) = struct.unpack_from("=I", attributes, 24)
    return list(ids[:count])


def _open_program(program_id: int) -> int:
    return _call(BPF_PROG_GET_FD_BY_ID, struct.pack("=III", program_id, 0, 0))


def _call(command: int, attributes: bytes) -> int:
    return check(bpf(command, attributes, len(attributes)))
