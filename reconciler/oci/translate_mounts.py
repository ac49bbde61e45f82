"""The `mounts` list of config.json. Source: runtime-spec config.md, Mounts."""

from __future__ import annotations

import os

from reconciler.model.isolation import IdMapping, MountSpec
from reconciler.oci.fields import Fields

_BINDS = {"bind", "rbind"}
_IDMAPS = ("idmap=", "ridmap=")


def translate_mounts(mounts: list[Fields], directory: str) -> tuple[MountSpec, ...]:
    """Return the mounts, sources of bind mounts relative to the bundle `directory`.

    Raises: ConfigInvalid.
    """
    return tuple(_mount(fields, directory) for fields in mounts)


def _mount(fields: Fields, directory: str) -> MountSpec:
    destination = fields.required_text("destination")
    kind, source = fields.text("type") or None, fields.text("source")
    options = fields.texts("options")
    if source is not None and (kind in (None, "bind", "none") or _BINDS & set(options)):
        source = os.path.join(directory, source)
    uids = translate_mappings(fields, "uidMappings")
    gids = translate_mappings(fields, "gidMappings")
    for word in options:
        if word.startswith(_IDMAPS):
            name, _, maps = word.partition("=")
            uids, gids = _maps_of(fields, maps, "uids"), _maps_of(fields, maps, "gids")
            options = (*(one for one in options if one != word), name)
    return MountSpec(
        destination=os.path.join("/", destination),
        type=kind,
        source=source,
        options=options,
        uid_mappings=uids,
        gid_mappings=gids,
    )


def _maps_of(fields: Fields, text: str, kind: str) -> tuple[IdMapping, ...]:
    """Return the mappings of crun's idmap=uids=FIRST-AS-COUNT#...;gids=..., for podman's volumes.

    Raises: ConfigInvalid, NotSupported.
    """
    found = [part.partition("=")[2] for part in text.split(";") if part.startswith(f"{kind}=")]
    rows = [row.split("-") for row in found[0].split("#")] if found else []
    if any(row[0].startswith("@") for row in rows):
        raise fields.unsupported("options", "idmap's '@' is not supported: give the ids themselves")
    if not rows or not all(len(row) == 3 and "".join(row).isdecimal() for row in rows):
        raise fields.invalid("options", f"idmap needs {kind}=FIRST-AS-COUNT, and is '{text}'")
    return tuple(
        IdMapping(container_id=int(first), host_id=int(shown), size=int(count))
        for first, shown, count in rows
    )


def translate_mappings(fields: Fields, name: str) -> tuple[IdMapping, ...]:
    """Return a list of id mappings. Raises: ConfigInvalid."""
    return tuple(
        IdMapping(
            container_id=one.required_number("containerID"),
            host_id=one.required_number("hostID"),
            size=one.required_number("size"),
        )
        for one in fields.children(name)
    )
