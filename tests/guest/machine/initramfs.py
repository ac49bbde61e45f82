"""The guest's initial RAM disk: busybox, the kernel modules it needs, and the scripts here."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("init", "second-stage", "systemd-units")
MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "virtiofs", "overlay")

DIRECTORY = 0o40755
FILE = 0o100755


def write_initramfs(path: Path, busybox: Path, modules: Path) -> None:
    """Write the archive; `modules` is the kernel's lib/modules/VERSION, with modules.dep."""
    entries: list[tuple[str, int, bytes]] = [("bin", DIRECTORY, b"")]
    entries.append(("bin/busybox", FILE, busybox.read_bytes()))
    entries += [(name, FILE, (HERE / name).read_bytes()) for name in SCRIPTS]
    entries.append(("modules", DIRECTORY, b""))
    order = list(_modules_in_order(modules))
    for module in order:
        entries.append((f"modules/{_name(module)}", FILE, _read_module(modules / module)))
    listing = "".join(f"{_name(module)}\n" for module in order)
    entries.append(("modules/order", FILE, listing.encode()))
    path.write_bytes(_cpio(entries))


def _name(module: str) -> str:
    return module.rsplit("/", 1)[-1].removesuffix(".xz")


def _read_module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _modules_in_order(modules: Path) -> Iterator[str]:
    """Give the files of MODULES and what they depend on, the latter first (modules.dep(5))."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        module, _, listed = line.partition(":")
        needs[module] = listed.split()
    given: set[str] = set()
    for wanted in MODULES:
        for module, others in needs.items():
            if _name(module) != f"{wanted}.ko":
                continue
            # The deepest dependency stands last.
            for each in (*reversed(others), module):
                if each not in given:
                    given.add(each)
                    yield each


def _cpio(entries: list[tuple[str, int, bytes]]) -> bytes:
    """Return an archive of (name, mode, content) in the "newc" form (cpio(5))."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        raw = name.encode() + b"\0"
        # ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
        numbers = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08x" % value for value in numbers) + raw
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(data) % 4)
    return bytes(out)
