"""From config.json to the engine's Config: nothing but a translation, field by field.

Called by the verbs that make a container or a process. What a field cannot mean is an error that
names it; what this engine cannot do is one too, and never left out in silence.
Source: runtime-spec config.md, config-linux.md, versions 1.0 to 1.3.
"""

from __future__ import annotations

import os

from reconciler.lean import Any
from reconciler.model.config import Config, LogLimits, NetworkMode, Rootfs
from reconciler.model.frozen import replace
from reconciler.model.isolation import Isolation, Namespaces
from reconciler.oci.bundle import Bundle
from reconciler.oci.fields import Fields
from reconciler.oci.translate_hooks import translate_hooks
from reconciler.oci.translate_linux import translate_linux
from reconciler.oci.translate_mounts import translate_mounts
from reconciler.oci.translate_process import ProcessParts, no_process, translate_process
from reconciler.oci.translate_resources import translate_resources

_NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")


def translate_bundle(
    bundle: Bundle, *, has_cgroups: bool, no_pivot: bool = False, needs_process: bool = True
) -> Config:
    """Return the Config of a bundle. `has_cgroups`: limits can be enforced.

    Without a process, unless it is needed, the Config has an empty command: config.md asks for one
    by the time of `start`.

    Raises: ConfigInvalid, NotSupported.
    """
    fields = bundle.fields
    if "root" not in fields:
        raise fields.invalid("root", "is required")
    if "process" in fields:
        process = translate_process(fields.child("process"))
    elif needs_process:
        raise fields.invalid("process", "is required")
    else:
        process = no_process()
    linux = fields.child("linux")
    namespaces = _namespaces(linux)
    isolation = translate_linux(linux, process.isolation)
    isolation = replace(
        isolation,
        environment=(*(isolation.environment or ()), *_activation()),
        namespaces=namespaces,
        no_pivot=no_pivot,
        mounts=translate_mounts(fields.children("mounts"), bundle.directory),
        domainname=fields.text("domainname"),
        hooks=translate_hooks(fields.child("hooks")),
    )
    _check_names(fields, namespaces)
    if isolation.net_devices and namespaces.network == "host":
        raise linux.invalid("netDevices", "need a network namespace of the container's own")
    return config_of(
        process,
        isolation,
        hostname=fields.text("hostname") or os.uname().nodename,
        rootfs=_rootfs(fields.child("root"), bundle.directory),
        network=NetworkMode.HOST if namespaces.network == "host" else NetworkMode.NONE,
        resources=translate_resources(linux.child("resources"), has_cgroups=has_cgroups),
    )


def config_of(process: ProcessParts, isolation: Isolation, **container: Any) -> Config:
    """Return the Config of a process; `container` are the fields that are not the process's."""
    return Config(
        command=process.command,
        workdir=process.workdir,
        user=process.user,
        groups=process.groups,
        security=process.security,
        rlimits=process.rlimits,
        oom_score_adj=process.oom_score_adj,
        isolation=isolation,
        logs=LogLimits(is_kept=False),
        **container,
    )


def _activation() -> tuple[str, ...]:
    """Return the variables of socket activation for the init, which is pid 1 (sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "")
    return (f"LISTEN_FDS={count}", "LISTEN_PID=1") if count.isdecimal() else ()


def _rootfs(root: Fields, directory: str) -> Rootfs:
    path = os.path.normpath(os.path.join(directory, root.required_text("path")))
    return Rootfs(path=path, readonly=root.flag("readonly"))


def _namespaces(linux: Fields) -> Namespaces:
    """Return the namespaces: those that are not listed are the caller's."""
    modes: dict[str, str] = dict.fromkeys(_NAMESPACES, "host")
    seen: set[str] = set()
    for one in linux.children("namespaces"):
        kind = one.required_text("type")
        if kind not in _NAMESPACES:
            raise one.invalid("type", f"must be one of {', '.join(_NAMESPACES)}; it is '{kind}'")
        if kind in seen:
            raise one.invalid("type", f"lists the namespace {kind} a second time")
        seen.add(kind)
        modes[kind] = one.absolute("path") if one.text("path") else "private"
    return Namespaces(**modes)


def _check_names(fields: Fields, namespaces: Namespaces) -> None:
    """Refuse names that would be the host's."""
    for name in ("hostname", "domainname"):
        if fields.text(name) and namespaces.uts == "host":
            raise fields.invalid(name, "needs a uts namespace of the container's own")
