"""The kernel proper out of a bzImage: an emulated processor would take seconds to unpack it.

Linux, Documentation/arch/x86/boot.rst: offsets 0x1f1 (setup_sects), 0x248 (payload_offset) and
0x24c (payload_length).
"""

from __future__ import annotations

import lzma
import struct
import zlib

LZ4_LEGACY = b"\x02\x21\x4c\x18"
LZ4_BLOCK_BYTES = 8 << 20


def extract_vmlinux(image: bytes) -> bytes | None:
    """Return the ELF file in a bzImage, or None if it is packed in a way not known here."""
    setup_sectors = image[0x1F1]
    (offset,) = struct.unpack_from("<I", image, 0x248)
    (length,) = struct.unpack_from("<I", image, 0x24C)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if payload.startswith(b"\xfd7zXZ\0"):
        unpacked = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x1f\x8b"):
        unpacked = zlib.decompressobj(31).decompress(payload)
    elif payload.startswith(LZ4_LEGACY):
        unpacked = _unpack_lz4_legacy(payload)
    else:
        return None
    return unpacked if unpacked.startswith(b"\x7fELF") else None


def _unpack_lz4_legacy(payload: bytes) -> bytes:
    """Unpack blocks of 8 MiB, each after its length (lz4's doc/lz4_Frame_format.md)."""
    parts: list[bytes] = []
    at = len(LZ4_LEGACY)
    while at + 4 <= len(payload):
        (length,) = struct.unpack_from("<I", payload, at)
        at += 4
        if not 0 < length <= len(payload) - at:
            break  # the length of the whole, which the kernel's build appends
        parts.append(_unpack_lz4_block(payload[at : at + length]))
        at += length
        if len(parts[-1]) < LZ4_BLOCK_BYTES:
            break
    return b"".join(parts)


def _unpack_lz4_block(block: bytes) -> bytes:
    """Unpack one block of literals and back-references (lz4's doc/lz4_Block_format.md)."""
    out = bytearray()
    at = 0
    while at < len(block):
        token = block[at]
        literals, at = _lz4_length(block, at + 1, token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            break
        distance = block[at] | block[at + 1] << 8
        matched, at = _lz4_length(block, at + 2, token & 15)
        matched += 4
        begin = len(out) - distance
        if distance >= matched:
            out += out[begin : begin + matched]
        else:  # it reaches into what it makes: a repeated piece
            piece = bytes(out[begin:])
            out += (piece * (matched // distance + 1))[:matched]
    return bytes(out)


def _lz4_length(block: bytes, at: int, nibble: int) -> tuple[int, int]:
    """Return a length that begins in a nibble and may go on in bytes, and where it ends."""
    length = nibble
    more = nibble == 15
    while more:
        length += block[at]
        more = block[at] == 255
        at += 1
    return length, at
