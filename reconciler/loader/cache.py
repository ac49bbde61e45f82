"""What is remembered of the files between passes: their stamps, results and last good specs.

Called by `load`; `look` reads its values. One JSON file in the state directory for each set of
sources, replaced atomically. It is a cache: damaged or unwritable it costs time, and the memory
of last good specs, but never stops a pass; that is logged.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler import __version__
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.files import replace_file
from reconciler.loader.parsed import Parsed
from reconciler.loader.reader import Print
from reconciler.model.codec import from_dict, to_compact
from reconciler.model.frozen import field, frozen
from reconciler.model.spec import Spec

_FORMAT = 3


@frozen
class Entry:
    """One file's result, and the digests of all that it was made from.

    `digest` of the file itself; `patches` are its drop-ins (file, digest) in order,
    `env_digests` belong to `parsed.env_files`, `reference_digests` to `parsed.references`; "" for
    what is missing.
    """

    digest: str
    parsed: Parsed
    patches: tuple[tuple[str, str], ...] = ()
    env_digests: tuple[str, ...] = ()
    reference_digests: tuple[str, ...] = ()

    def is_mask(self) -> bool:
        """Tell whether the file only takes its name away from earlier directories."""
        return self.digest == ""


@frozen
class Cache:
    """Entries by file, the last good spec by name, and the stamps of all files read."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    good: Mapping[str, Spec] = field(default_factory=dict)
    prints: Mapping[str, Print] = field(default_factory=dict)


def cache_path(state_dir: str, sources: Sequence[str]) -> str:
    """Return the cache file for a set of sources (identities), in `state_dir/loader`."""
    checksum = zlib.crc32("\0".join(sorted(sources)).encode(errors="surrogateescape"))
    return os.path.join(state_dir, "loader", f"{checksum:08x}.json")


Tell = Callable[[ReconcilerError], None]
"""What is called with trouble that nothing else depends on."""


def read_cache(path: str, sources: Sequence[str], tell: Tell) -> Cache:
    """Return what was remembered; an empty cache if there is none, or none that can be used.

    `tell` is called with what is wrong with it.

    Entries of another version of this program are left out, as its rules may differ.
    """
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read())
        return _decode(data, sources)
    except FileNotFoundError:
        return Cache()
    except OSError as error:
        tell(from_os_error(error, "cannot read the load cache", path=path))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"cannot use the load cache: it is damaged ({error!s:.80}); all files are read"
        tell(ReconcilerError(ErrorCode.RecordCorrupt, message, path=path))
    return Cache()


def write_cache(path: str, sources: Sequence[str], cache: Cache) -> None:
    """Replace the cache file atomically.

    Raises: ReconcilerError (NoSpace, PermissionDenied, SystemError); the old file then stands.
    """
    text = json.dumps(_encode(cache, sources), separators=(",", ":"))
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # For its owner alone: specs hold environment variables, which may be secret.
        replace_file(path, text.encode(), is_synced=True)
    except OSError as error:
        raise from_os_error(error, "cannot write the load cache", path=path) from error


def log_trouble(error: ReconcilerError) -> None:
    """Log what is wrong with the cache, with its code: nothing else depends on it."""
    import logging

    context = {key: value for key, value in error.to_json().items() if key != "message"}
    context["error_name"] = context.pop("name")  # LogRecord has a `name` of its own
    logging.getLogger("reconciler.loader").warning("%s", error, extra=context)


def _encode(cache: Cache, sources: Sequence[str]) -> dict[str, Any]:
    """Return JSON data. A good spec that its file's entry holds is stored there alone."""
    given: dict[str, list[str]] = {}
    held: set[int] = set()
    for file, entry in cache.entries.items():
        for spec in entry.parsed.specs:
            given.setdefault(spec.name, []).append(file)
            held.add(id(spec))
    good = cache.good.items()
    return {
        "format": _FORMAT,
        "version": __version__,
        "sources": sorted(sources),
        "prints": {
            file: [*found.stamp, found.is_racy, found.digest]
            for file, found in cache.prints.items()
        },
        "files": {
            file: _encode_entry(entry, cache.prints.get(file))
            for file, entry in cache.entries.items()
        },
        # Only where several files give a name; the digest tells one file's documents apart.
        "winners": {
            name: [spec.origin.file, spec.digest]
            for name, spec in good
            if id(spec) in held and len(given[name]) > 1
        },
        "kept": {name: to_compact(spec) for name, spec in good if id(spec) not in held},
        "refused": sorted(given.keys() - cache.good.keys()),
    }


def _encode_entry(entry: Entry, found: Print | None) -> dict[str, Any]:
    """Return JSON data; the digest only where it is not that of the file's stamp."""
    data = {"parsed": to_compact(entry.parsed)}
    if found is None or found.digest != entry.digest:
        data["digest"] = entry.digest
    if entry.patches:
        data["patches"] = entry.patches
    if entry.env_digests:
        data["env"] = entry.env_digests
    if entry.reference_digests:
        data["references"] = entry.reference_digests
    return data


def _decode(data: dict[str, Any], sources: Sequence[str]) -> Cache:
    if data["format"] != _FORMAT or data["sources"] != sorted(sources):
        return Cache()
    prints = {file: _decode_print(item) for file, item in data["prints"].items()}
    entries = {file: _decode_entry(item, prints.get(file)) for file, item in data["files"].items()}
    good: dict[str, Spec] = {}
    winners = data["winners"] | dict.fromkeys(data["refused"])
    for entry in entries.values():
        for spec in entry.parsed.specs:
            if spec.name not in winners or winners[spec.name] == [spec.origin.file, spec.digest]:
                good[spec.name] = spec
    good |= {name: from_dict(Spec, item) for name, item in data["kept"].items()}
    if data["version"] != __version__:
        return Cache(good=good)
    return Cache(entries=entries, good=good, prints=prints)


def _decode_print(item: list[Any]) -> Print:
    mtime_ns, ctime_ns, size, inode, device, is_racy, digest = item
    return Print((mtime_ns, ctime_ns, size, inode, device), is_racy, digest)


def _decode_entry(item: dict[str, Any], found: Print | None) -> Entry:
    digest = item.get("digest")
    if digest is None:
        if found is None:
            raise ValueError("a file without a digest")
        digest = found.digest
    return Entry(
        digest=digest,
        parsed=from_dict(Parsed, item["parsed"]),
        patches=tuple((file, digest) for file, digest in item.get("patches", ())),
        env_digests=tuple(item.get("env", ())),
        reference_digests=tuple(item.get("references", ())),
    )
