"""The `mounts` list of config.json. Source: runtime-spec config.md, Mounts."""

from __future__ import annotations

import os

from reconciler.model.isolation import IdMapping, MountSpec
from reconciler.oci.fields import Fields

_BINDS = {"bind", "rbind"}


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
    return MountSpec(
        destination=os.path.join("/", destination),
        type=kind,
        source=source,
        options=options,
        uid_mappings=translate_mappings(fields, "uidMappings"),
        gid_mappings=translate_mappings(fields, "gidMappings"),
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
