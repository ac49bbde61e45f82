"""Where a container's cgroups are, from `linux.cgroupsPath`.

Called by `create`. An absolute path is below the root of each hierarchy, a relative one below our
own cgroup, as is one of the container's id when there is none (config-linux.md, Cgroups Path). A
container is in every hierarchy of v1 that there is, as under every other runtime: who looks for
its devices or freezer cgroup finds it.
"""

from __future__ import annotations

import os
import posixpath

from reconciler.cgroup.driver import CgroupDriver
from reconciler.oci.fields import Fields


def place(linux: Fields, container_id: str) -> tuple[str | None, str]:
    """Return the parent below the hierarchies' roots (None: our own cgroup) and the path there.

    Raises: ConfigInvalid.
    """
    path = linux.text("cgroupsPath") or container_id
    if ".." in path.split("/") or "\0" in path:
        raise linux.invalid("cgroupsPath", f"must not contain '..', and is '{path}'")
    if path.count(":") == 2 and not path.startswith("/"):
        raise linux.invalid(
            "cgroupsPath",
            f"'{path}' is for systemd's cgroup manager; this is cgroupfs: give it a path",
        )
    normal = posixpath.normpath(path)
    if not normal.strip("/."):
        raise linux.invalid("cgroupsPath", f"must name a cgroup, and is '{path}'")
    if not normal.startswith("/"):
        return None, normal
    parent, name = posixpath.split("/" + normal.lstrip("/"))
    return parent, name


def check_empty(linux: Fields, driver: CgroupDriver, directories: dict[str, str]) -> None:
    """Refuse a cgroup that has processes already: they would be killed with the container.

    Raises: ConfigInvalid.
    """
    for key, directory in directories.items():
        if os.path.isdir(directory) and (pids := driver.processes({key: directory})):
            raise linux.invalid(
                "cgroupsPath",
                f"must name a cgroup of the container's own, and {directory} has {len(pids)} "
                f"processes, as {pids[0]}, which would end with it",
            )


def directories(bases: dict[str, str], below: str) -> dict[str, str]:
    """Return the container's directory in each hierarchy."""
    return {key: f"{base.rstrip('/')}/{below}" for key, base in bases.items()}
