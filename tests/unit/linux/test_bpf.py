"""Device programs, on a machine that does what the kernel's does with these instructions."""

from __future__ import annotations

import itertools
import random
import struct

from reconciler.linux.bpf import ALL_ACCESS, DeviceTest, compile_device_program


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """Return what a program answers; fails on what the verifier refuses."""
    code = [struct.unpack_from("=BBhi", program, at) for at in range(0, len(program), 8)]
    context = struct.pack("=III", access << 16 | kind, major, minor)
    registers = [0] * 11
    at = 0
    while True:
        operation, pair, off, imm = code[at]
        at += 1
        target, source = pair & 15, pair >> 4
        match operation:
            case 0x61:  # r = *(u32 *)(context + off)
                assert source == 1
                (registers[target],) = struct.unpack_from("=I", context, off)
            case 0xB7:
                registers[target] = imm
            case 0xBF:
                registers[target] = registers[source]
            case 0x57:
                registers[target] &= imm
            case 0x77:
                registers[target] >>= imm
            case 0x05 | 0x55 | 0x45:
                value = registers[target]
                is_taken = {0x05: True, 0x55: value != imm, 0x45: value & imm != 0}
                at += off if is_taken[operation] else 0
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(f"the kernel knows no instruction {operation:#x}")


def expected(tests: list[DeviceTest], kind: int, access: int, major: int, minor: int) -> bool:
    """Return what rules mean, each kind of access by itself: the last one about it decides."""

    def allows(bit: int) -> bool:
        verdict = False
        for test in tests:
            wanted = ((test.type, kind), (test.major, major), (test.minor, minor))
            if test.access & bit and all(one in (None, other) for one, other in wanted):
                verdict = test.allow
        return verdict

    return all(allows(bit) for bit in (1, 2, 4) if access & bit)


def test_no_rule_denies_all() -> None:
    assert run(compile_device_program([]), 2, 2, 1, 3) == 0


def test_a_rule_for_all_ends_the_program_as_no_code_may_be_out_of_reach() -> None:
    allow_all = DeviceTest(True, None, None, None, ALL_ACCESS)
    one = DeviceTest(False, 2, 1, 3, ALL_ACCESS)
    assert compile_device_program([one, allow_all]) == compile_device_program([allow_all])
    assert run(compile_device_program([one, allow_all]), 2, 2, 1, 3) == 1


def test_any_rules_decide_each_kind_of_access_by_the_last_one_about_it() -> None:
    generator = random.Random(7)
    asked = list(itertools.product((1, 2), range(1, 8), (1, 2), (1, 2)))
    for _ in range(300):
        tests = [
            DeviceTest(
                generator.random() < 0.5,
                generator.choice((None, 1, 2)),
                generator.choice((None, 1, 2)),
                generator.choice((None, 1, 2)),
                generator.randint(1, 7),
            )
            for _ in range(generator.randint(0, 6))
        ]
        program = compile_device_program(tests)
        for kind, access, major, minor in asked:
            answer = run(program, kind, access, major, minor)
            assert answer == expected(tests, kind, access, major, minor), tests
