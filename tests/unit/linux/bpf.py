"""A classic BPF machine as seccomp has it, strict as the kernel's checker. For tests alone."""

from __future__ import annotations

import struct

WORD = 0xFFFFFFFF


def run(program: bytes, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    """Return the SECCOMP_RET_* value that `program` gives for a system call."""
    return trace(program, arch, number, args)[0]


def trace(program: bytes, arch: int, number: int, args: tuple[int, ...] = ()) -> tuple[int, int]:
    """Return the SECCOMP_RET_* value and how many instructions led to it.

    Fails on what the kernel refuses (net/core/filter.c, bpf_check_classic; kernel/seccomp.c,
    seccomp_check_filter): unknown instructions, jumps past the end, loads outside of the data.
    """
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    padded = (args + (0,) * 6)[:6]
    data = struct.pack("=IIQ6Q", number & WORD, arch, 0, *(arg & (1 << 64) - 1 for arg in padded))
    accumulator, at, steps = 0, 0, 0
    while True:
        operation, if_true, if_false, k = code[at]
        at, steps = at + 1, steps + 1
        match operation:
            case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                assert k % 4 == 0
                (accumulator,) = struct.unpack_from("=I", data, k)
            case 0x54:  # BPF_ALU | BPF_AND | BPF_K
                accumulator &= k
            case 0x05:  # BPF_JMP | BPF_JA
                at += k
            case 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
                at += if_true if accumulator == k else if_false
            case 0x25:  # BPF_JMP | BPF_JGT | BPF_K
                at += if_true if accumulator > k else if_false
            case 0x35:  # BPF_JMP | BPF_JGE | BPF_K
                at += if_true if accumulator >= k else if_false
            case 0x06:  # BPF_RET | BPF_K
                return int(k), steps
            case _:
                raise AssertionError(f"instruction {at - 1}: unknown operation {operation:#x}")
