"""System calls that a process makes ready, and its child makes.

A child of clone3 copies every page that it writes to, and Python writes to all that it looks at:
each object has its count of references. So the parent does what needs Python (it encodes and packs
arguments, and looks up numbers), and what is left is one loop over numbers in a byte string:

    calls = Calls()
    fd = calls.fd()
    calls.add(SYS.openat, AT_FDCWD, b"/", flags, 0, keep=fd)
    with calls.block() as missing:                                  # ends here: goes on below
        calls.add(SYS.mkdirat, fd, b"x", 0o755, jumps={EEXIST: missing})
        calls.add(SYS.mkdirat, fd, b"x/y", 0o755)
    calls.close(fd)
    chain = Chain([calls.finish()])
    chain.make(fds)                                                 # in the child

`fds` is a list with room for the descriptors that calls keep: -1 where there is none. Called by the
monitor's steps and by their helpers in this layer.
"""

from __future__ import annotations

import os
import struct

from reconciler.lean import Any, Callable, Iterator, NamedTuple, Sequence, contextmanager, ctypes

AT_FDCWD = -100
OWN_SLOTS = 64  # what calls use alone; what others have given them is kept above
_EINVAL = 22

# PyDLL keeps the GIL: a child must not have to take it back. The prototype is the one that passes
# integers, addresses too, at the least cost.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_void_p] * 6

# A call: its number, five arguments, which of the first three are descriptors (by their bits), and
# where its result is kept, or -1. What is no system call has a number below 0.
_ENTRY = struct.Struct("=8q")
_ENTRY_BYTES = _ENTRY.size
_unpack = _ENTRY.unpack_from
_CLOSE, _JUMP, _PYTHON = -1, -2, -3
_MOST_DESCRIPTORS = 3


class _Numbers(NamedTuple):
    """Numbers of system calls, in the order of x86_64's; those from 424 on are the same on all."""

    write: int
    close: int
    rt_sigaction: int
    ioctl: int
    socket: int
    chdir: int
    umask: int
    setsid: int
    setgroups: int
    setresuid: int
    setresgid: int
    capset: int
    pivot_root: int
    prctl: int
    chroot: int
    mount: int
    umount2: int
    sethostname: int
    keyctl: int
    openat: int
    mkdirat: int
    mknodat: int
    symlinkat: int
    fchmodat: int
    unshare: int
    dup3: int
    prlimit64: int
    seccomp: int
    open_tree: int = 428
    move_mount: int = 429
    fsopen: int = 430
    fsconfig: int = 431
    fsmount: int = 432
    close_range: int = 436
    openat2: int = 437
    mount_setattr: int = 442


NUMBERS = {
    "x86_64": _Numbers(
        *(1, 3, 13, 16, 41, 80, 95, 112, 116, 117, 119, 126, 155, 157, 161, 165, 166, 170, 250),
        *(257, 258, 259, 266, 268, 272, 292, 302, 317),
    ),
    "aarch64": _Numbers(
        *(64, 57, 134, 29, 198, 49, 166, 157, 159, 147, 149, 91, 41, 167, 51, 40, 39, 161, 219, 56),
        *(34, 33, 36, 53, 97, 24, 261, 277),
    ),
}
SYS = NUMBERS.get(os.uname().machine) or _Numbers(*(-1,) * 28)  # no such call: ENOSYS

Jumps = dict[int, "Label"]


class Fd(NamedTuple):
    """A descriptor that a call will have returned: what `fds` has at `slot` by then."""

    slot: int


Argument = int | bytes | None | Fd


class Label:
    """Where the calls go on after a block; `at` is known at its end."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1


class Calls:
    """Calls in their order."""

    def __init__(self) -> None:
        self._free_slots: set[int] = set()
        self._slots = 0
        self._entries: list[list[int]] = []
        self._texts = bytearray()
        self._addresses: list[tuple[int, int, int]] = []  # (entry, argument, offset) of texts
        self._labels: list[tuple[int, Label]] = []
        self._jumps: dict[int, Jumps] = {}
        self._paths: dict[int, str] = {}
        self._functions: dict[int, Callable[[Any], object]] = {}
        self._held: list[object] = []

    def fd(self) -> Fd:
        """Return a place for a descriptor that these calls alone use, until they close it."""
        if self._free_slots:
            return Fd(self._free_slots.pop())
        assert self._slots < OWN_SLOTS, "internal error: too many descriptors at a time"
        self._slots += 1
        return Fd(self._slots - 1)

    def add(
        self,
        *arguments: Argument,
        keep: Fd | None = None,
        jumps: Jumps | None = None,
        path: str | None = None,
    ) -> None:
        """Add a system call: its number and what it takes. `path` is for the error.

        On an errno of `jumps` it goes on at that label; on any other the calls end.
        """
        uses = 0
        numbers = [0] * 6
        for position, one in enumerate(arguments):
            if isinstance(one, Fd):
                assert 1 <= position <= _MOST_DESCRIPTORS
                uses |= 1 << position
                numbers[position] = one.slot
            elif isinstance(one, bytes):
                self._addresses.append((len(self._entries), position, len(self._texts)))
                self._texts += one + b"\0"
            elif one is not None:
                numbers[position] = one
        if jumps:
            self._jumps[len(self._entries)] = jumps
        if path is not None:
            self._paths[len(self._entries) * _ENTRY_BYTES] = path
        self._entries.append([*numbers, uses, -1 if keep is None else keep.slot])

    def hold(self, memory: object) -> None:
        """Keep what an argument has the address of."""
        self._held.append(memory)

    def close(self, fd: Fd) -> None:
        """Close a descriptor; there is none then."""
        self._entries.append([_CLOSE, fd.slot, 0, 0, 0, 0, 0, -1])
        if fd.slot < self._slots:
            self._free_slots.add(fd.slot)

    def jump(self, label: Label, if_open: Fd | None = None) -> None:
        """Go on at `label`, always or if there is a descriptor."""
        self._labels.append((len(self._entries), label))
        self._entries.append([_JUMP, -1 if if_open is None else if_open.slot, 0, 0, 0, 0, 0, 0])

    def python(self, function: Callable[[Any], object], label: Label | None = None) -> None:
        """Call a function with what `make` gets; go on at `label` if it returns what is true."""
        if label is not None:
            self._labels.append((len(self._entries), label))
        self._functions[len(self._entries) * _ENTRY_BYTES] = function
        self._entries.append([_PYTHON, 0, 0, 0, 0, 0, 0, 0])

    @contextmanager
    def block(self) -> Iterator[Label]:
        """Give a label for the end of what is added in this block."""
        label = Label()
        yield label
        label.at = len(self._entries)

    def finish(self) -> Ready:
        """Return the calls, ready to be made."""
        texts = ctypes.create_string_buffer(bytes(self._texts))
        base = ctypes.addressof(texts)
        for index, argument, offset in self._addresses:
            self._entries[index][argument] = base + offset
        for index, label in self._labels:
            self._entries[index][-1] = _distance(index, label)
        code = b"".join([_ENTRY.pack(*entry) for entry in self._entries])
        jumps = {
            index * _ENTRY_BYTES: {number: _distance(index, at) for number, at in jumps.items()}
            for index, jumps in self._jumps.items()
        }
        return Ready(code, self._functions, jumps, self._paths, (texts, *self._held))


def _distance(index: int, label: Label) -> int:
    """Return how far it is from behind an entry to a label."""
    return (label.at - index - 1) * _ENTRY_BYTES


class Ready(NamedTuple):
    """Calls that are ready to be made, once or often.

    By the offsets in `code`: functions, distances to go on at by errno, paths for errors. `held` is
    memory that `code` has addresses of.
    """

    code: bytes
    functions: dict[int, Callable[[Any], object]]
    jumps: dict[int, dict[int, int]]
    paths: dict[int, str]
    held: tuple[object, ...]


class Chain:
    """Ready calls one after the other: as few objects as can be, for the child to copy."""

    def __init__(self, parts: Sequence[Ready]) -> None:
        self._parts = parts
        self._code = b"".join([part.code for part in parts])
        self._functions: dict[int, Callable[[Any], object]] = {}
        self._jumps: dict[int, dict[int, int]] = {}
        self._failed_at = 0
        begin = 0
        for part in parts:
            for at, function in part.functions.items():
                self._functions[begin + at] = function
            for at, jumps in part.jumps.items():
                self._jumps[begin + at] = jumps
            begin += len(part.code)

    def make(self, fds: list[int], given: object = None) -> None:
        """Make all calls; `given` is for the functions. Raises: OSError of the one that failed."""
        code, at = self._code, 0
        end = len(code)
        while at < end:
            number, a, b, c, d, e, uses, keep = _unpack(code, at)
            if number >= 0:
                if uses:
                    a = fds[a] if uses & 2 else a
                    b = fds[b] if uses & 4 else b
                    c = fds[c] if uses & 8 else c
                result = _syscall(number, a, b, c, d, e)
                if result < 0:
                    at += self._distance_after_failure(at)
                elif keep >= 0:
                    fds[keep] = result
            elif number == _CLOSE:
                _syscall(SYS.close, fds[a], 0, 0, 0, 0)
                fds[a] = -1
            elif self._is_jump(number, at, a < 0 or fds[a] >= 0, given):
                at += keep
            at += _ENTRY_BYTES

    def _is_jump(self, number: int, at: int, is_open: bool, given: object) -> bool:
        if number == _JUMP:
            return is_open
        self._failed_at = at  # if it raises
        return bool(self._functions[at](given))

    def part_at_fault(self) -> int:
        """Return the index of the part that a call has failed in."""
        return self._find(self._failed_at)[0]

    def _distance_after_failure(self, at: int) -> int:
        """Return how far to go on from a call that has failed. Raises: OSError."""
        number = ctypes.get_errno()
        jumps = self._jumps.get(at)
        if jumps is not None and number in jumps:
            return jumps[number]
        self._failed_at = at
        index, begin = self._find(at)
        raise OSError(number, os.strerror(number), self._parts[index].paths.get(at - begin))

    def _find(self, at: int) -> tuple[int, int]:
        """Return the index of the part that has `at`, and where it begins."""
        begin = 0
        for index, part in enumerate(self._parts):
            if at < begin + len(part.code):
                return index, begin
            begin += len(part.code)
        raise IndexError(at)


def encode(path: str) -> bytes:
    """Return a path as the kernel takes it. Raises: OSError with the path."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise OSError(_EINVAL, "a path cannot have a NUL in it", path)
    return encoded
