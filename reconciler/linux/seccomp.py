"""System call filters: a small assembler for seccomp's BPF, and the call that loads a program.

The engine compiles (`compile_filter`), the monitor's child loads (`install_filter`). It may
not know which system calls are dangerous. Constants are those of linux/seccomp.h,
linux/bpf_common.h and linux/audit.h. Source: seccomp(2), Documentation/userspace-api/
seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import struct

from reconciler.lean import Mapping, NamedTuple, ctypes
from reconciler.linux.calls import SYS, Calls
from reconciler.linux.libc import check, seccomp

AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_AARCH64 = 0xC00000B7
AUDIT_ARCH_I386 = 0x40000003

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_KILL_THREAD = 0
SECCOMP_RET_TRAP = 0x00030000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_LOG = 0x7FFC0000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000

RET_EPERM = SECCOMP_RET_ERRNO | errno.EPERM
RET_ENOSYS = SECCOMP_RET_ERRNO | errno.ENOSYS

BPF_LD, BPF_ALU, BPF_JMP, BPF_RET = 0x00, 0x04, 0x05, 0x06
BPF_W, BPF_ABS, BPF_K = 0x00, 0x20, 0x00
BPF_AND, BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE = 0x50, 0x00, 0x10, 0x20, 0x30

WORD = 0xFFFFFFFF
_X32_SYSCALL_BIT = 0x40000000

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]
_NR_OFFSET, _ARCH_OFFSET, _ARGS_OFFSET = 0, 4, 16

# struct sock_filter: u16 code; u8 jt; u8 jf; u32 k
_INSTRUCTION = struct.Struct("=HBBI")
_NEAR = 254  # jt and jf reach 255; one is kept for a jump put in between


class ArgCheck(NamedTuple):
    """A verdict by an argument: `matched` if `argument & mask` is one of `values`.

    `values` has at least one. Only the lower 32 bits are looked at, as the kernel does with
    an int, unsigned int or clone's flags: what is above them must not lead past a filter.
    """

    argument: int
    values: tuple[int, ...]
    matched: int
    otherwise: int
    mask: int = WORD


class Condition(NamedTuple):
    """A comparison of one argument in all its 64 bits.

    `op` is EQ, NE, LT, LE, GT or GE with `value`; MASKED_EQ: `argument & value == second`.
    """

    argument: int
    op: str
    value: int
    second: int = 0


class Rules(NamedTuple):
    """A verdict by the first rule all of whose conditions hold: (conditions, verdict)."""

    rules: tuple[tuple[tuple[Condition, ...], int], ...]
    otherwise: int


Verdict = int | ArgCheck | Rules


def compile_filter(
    arch: int,
    verdicts: Mapping[int, Verdict],
    default: int,
    others: Mapping[int, Mapping[int, Verdict]] | None = None,
    unknown: Mapping[int, int] | None = None,
) -> bytes:
    """Return a program (array of struct sock_filter) that decides by system call number.

    `arch` is an AUDIT_ARCH_*, verdicts are SECCOMP_RET_* values or checks of an argument,
    `default` is for numbers not named. `others` are verdicts for further architectures; calls of
    one that is not named kill the process; those of x32, whose numbers have bit 30, fail with
    ENOSYS, as do those from `unknown` on, a number by architecture above all named. Neighbours with
    the same verdict become one range, and the ranges a binary search tree.
    """
    code = _Assembler()
    starts: list[tuple[int, int]] = []
    for number, own in ((arch, verdicts), *(others or {}).items()):
        code.search(_to_ranges(own, default, (unknown or {}).get(number)))
        starts.append((number, code.emit(BPF_LD | BPF_W | BPF_ABS, _NR_OFFSET)))
    position = code.emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
    for number, start in reversed(starts):
        position = code.branch(BPF_JEQ, number, start, position)
    code.emit(BPF_LD | BPF_W | BPF_ABS, _ARCH_OFFSET)
    return code.program()


def install_filter(program: bytes, flags: int = 0) -> int:
    """Load a compiled filter into the calling thread, for good and for all it executes.

    Needs no_new_privs or CAP_SYS_ADMIN (seccomp(2)). Returns the notification descriptor when
    `flags` have NEW_LISTENER.

    Raises: OSError.
    """
    filters = ctypes.create_string_buffer(program, len(program))
    return check(seccomp(SECCOMP_SET_MODE_FILTER, flags, _sock_fprog(filters)))


def prepare_filter(calls: Calls, program: bytes, flags: int) -> None:
    """Add to `calls` what loads a compiled filter into the caller, without a listener."""
    filters = ctypes.create_string_buffer(program, len(program))
    calls.hold(filters)
    calls.add(SYS.seccomp, SECCOMP_SET_MODE_FILTER, flags, _sock_fprog(filters))


def _sock_fprog(filters: ctypes.Array[ctypes.c_char]) -> bytes:
    return struct.pack("@HP", len(filters) // _INSTRUCTION.size, ctypes.addressof(filters))


def _to_ranges(
    verdicts: Mapping[int, Verdict], default: int, unknown: int | None
) -> list[tuple[int, Verdict]]:
    """Return (first number, verdict) of each range, ascending, the first from 0."""
    starts: dict[int, Verdict] = {0: default}
    for number in sorted(verdicts):
        starts[number] = verdicts[number]
        starts[number + 1] = default
    starts[_X32_SYSCALL_BIT if unknown is None else unknown] = RET_ENOSYS
    ranges: list[tuple[int, Verdict]] = []
    for first, verdict in starts.items():
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((first, verdict))
    return ranges


class _Assembler:
    """Builds a program from its end, since jumps lead forward only.

    A position is the count of instructions from there to the end, so that it stays right
    while more are put in front.
    """

    def __init__(self) -> None:
        self._reversed: list[bytes] = []
        self._returns: dict[int, int] = {}

    def emit(self, code: int, k: int, jt: int = 0, jf: int = 0) -> int:
        """Put an instruction in front and return its position."""
        self._reversed.append(_INSTRUCTION.pack(code, jt, jf, k))
        return len(self._reversed)

    def program(self) -> bytes:
        """Return the instructions in the kernel's order."""
        return b"".join(reversed(self._reversed))

    def search(self, ranges: list[tuple[int, Verdict]]) -> int:
        """Put a decision between ranges in front and return its position."""
        if len(ranges) == 1:
            return self._verdict(ranges[0][1])
        middle = len(ranges) // 2
        above = self.search(ranges[middle:])
        below = self.search(ranges[:middle])
        return self.branch(BPF_JGE, ranges[middle][0], above, below)

    def branch(self, test: int, k: int, if_true: int, if_false: int) -> int:
        """Put a conditional jump in front and return its position."""
        if_true, if_false = self._near(if_true), self._near(if_false)
        here = len(self._reversed)
        return self.emit(BPF_JMP | test | BPF_K, k, here - if_true, here - if_false)

    def _near(self, target: int) -> int:
        """Return a position within reach of a conditional jump that leads to `target`."""
        distance = len(self._reversed) - target
        return target if distance <= _NEAR else self.emit(BPF_JMP | BPF_JA, distance)

    def _verdict(self, verdict: Verdict) -> int:
        if isinstance(verdict, int):
            return self._return(verdict)
        if isinstance(verdict, Rules):
            position = self._return(verdict.otherwise)
            for conditions, action in reversed(verdict.rules):
                position = self._rule(conditions, action, position)
            return position
        matched, position = self._return(verdict.matched), self._return(verdict.otherwise)
        for value in reversed(verdict.values):
            position = self.branch(BPF_JEQ, value, matched, position)
        if verdict.mask != WORD:
            self.emit(BPF_ALU | BPF_AND | BPF_K, verdict.mask)
        return self.emit(BPF_LD | BPF_W | BPF_ABS, _ARGS_OFFSET + 8 * verdict.argument)

    def _rule(self, conditions: tuple[Condition, ...], action: int, otherwise: int) -> int:
        position = self._return(action)
        for condition in reversed(conditions):
            position = self._condition(condition, position, otherwise)
        return position

    def _condition(self, one: Condition, if_true: int, if_false: int) -> int:
        """Put a comparison of both halves of an argument in front and return its position."""
        opposite = {"NE": "EQ", "LT": "GE", "LE": "GT"}
        if one.op in opposite:
            return self._condition(one._replace(op=opposite[one.op]), if_false, if_true)
        is_masked = one.op == "MASKED_EQ"
        value = one.second if is_masked else one.value
        mask = one.value if is_masked else 2**64 - 1
        test = {"GT": BPF_JGT, "GE": BPF_JGE}.get(one.op, BPF_JEQ)
        self.branch(test, value & WORD, if_true, if_false)
        low = self._load(one.argument, 0, mask & WORD)
        self.branch(BPF_JEQ, value >> 32, low, if_false)
        if test != BPF_JEQ:
            position = len(self._reversed)
            self.branch(BPF_JGT, value >> 32, if_true, position)
        return self._load(one.argument, 4, mask >> 32)

    def _load(self, argument: int, offset: int, mask: int) -> int:
        """Put the loading of one half of an argument in front (both machines: low half first)."""
        if mask != WORD:
            self.emit(BPF_ALU | BPF_AND | BPF_K, mask)
        return self.emit(BPF_LD | BPF_W | BPF_ABS, _ARGS_OFFSET + 8 * argument + offset)

    def _return(self, value: int) -> int:
        """Return the position of a return of `value`, shared with others nearby."""
        position = self._returns.get(value)
        if position is None or len(self._reversed) - position > _NEAR:
            position = self._returns[value] = self.emit(BPF_RET | BPF_K, value)
        return position
