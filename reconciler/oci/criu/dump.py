"""Saves a container in a directory, with criu. Called by the verb `checkpoint`."""

from __future__ import annotations

import json
import os

from reconciler.cgroup.core import FREEZER, UNIFIED
from reconciler.engine.container import Container
from reconciler.oci.criu import options as o
from reconciler.oci.criu.outside import mounts_to_dump, streams_of, streams_to_dump
from reconciler.oci.criu.rpc import DUMP, PRE_DUMP, Criu, Fields
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime

_LOG = "dump.log"


def save(runtime: Runtime, container: Container, options: Values) -> None:
    """Save it; its processes end, unless they are to go on. Raises: NotSupported, SystemError."""
    init = container.record.init
    assert init is not None
    config = container.config
    with o.Images(options, is_new=True) as images:
        streams = streams_of(init.pid)
        fields: Fields = [
            *o.common_fields(options, images, config, _LOG),
            (o.PID, init.pid),
            (o.ROOT, config.rootfs.path or "/"),
            (o.LEAVE_RUNNING, options["leave-running"]),
            *mounts_to_dump(config, init.pid),
            *streams_to_dump(streams),
        ]
        freezer = container.record.cgroups.get(UNIFIED) or container.record.cgroups.get(FREEZER)
        if freezer:
            fields.append((o.FREEZE_CGROUP, freezer))
        if options["parent-path"]:  # criu takes it from the image directory
            parent = os.path.relpath(os.path.abspath(options["parent-path"]), images.path)
            fields += [(o.PARENT, parent), (o.TRACK_MEMORY, True)]
        with (
            o.failures_told(runtime, "checkpoint", container.id, images, _LOG),
            Criu(runtime.criu, keeps_streams=False) as criu,
        ):
            if options["pre-dump"]:
                criu.request(PRE_DUMP, [*fields, (o.TRACK_MEMORY, True)])
                return
            criu.request(DUMP, fields)
        path = os.path.join(images.path, o.DESCRIPTORS)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(streams, file)
