"""Brings a container back from a directory, with criu. Called by the verb `restore`.

To the engine it is a launcher: in place of a new init it starts the saved one, in a cgroup that was
made anew with the limits of the config.
"""

from __future__ import annotations

import json
import os

from reconciler.cgroup.core import UNIFIED
from reconciler.engine.direct import DirectLauncher
from reconciler.lean import Any, Callable, socket
from reconciler.linux import mount as m
from reconciler.linux.proc import read_boot_id, read_file
from reconciler.linux.process import CloneFlag, unshare
from reconciler.monitor.inits import make_run
from reconciler.monitor.run_file import RUN_FILE, write_json
from reconciler.oci.criu import options as o
from reconciler.oci.criu.outside import mounts_to_restore, streams_to_restore
from reconciler.oci.criu.rpc import RESTORE, Criu, Fields, Notice, decode, encode
from reconciler.oci.criu.targets import make_targets
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime

_LOG = "restore.log"
_SLAVE = m.MountFlag.REC | m.MountFlag.SLAVE
_BIND = m.MountFlag.REC | m.MountFlag.BIND


class RestoringLauncher(DirectLauncher):
    """A launcher whose inits come from a checkpoint, as children of the caller."""

    def __init__(self, runtime: Runtime, options: Values) -> None:
        super().__init__(runtime.root)
        self._runtime = runtime
        self._values = options

    def start(self, plan: dict[str, Any], limit: Callable[[], None]) -> dict[str, Any]:
        """Restore the container of a plan; return `{pid, startTicks, startedAt}`.

        Raises: NotSupported, ConfigInvalid, SystemError; what `limit` and `runtime_hooks` raise.
        """
        limit()
        root = os.path.join(plan["directory"], "criu-root")
        os.mkdir(root, 0o700)
        try:
            with o.Images(self._values, is_new=False) as images:
                pid = self._restore(plan, images, root)
        finally:
            os.rmdir(root)
        run = make_run(plan, pid, read_boot_id())
        write_json(os.path.join(plan["directory"], RUN_FILE), run)
        return {key: run[key] for key in ("pid", "startTicks", "startedAt")}

    def _restore(self, plan: dict[str, Any], images: o.Images, root: str) -> int:
        config = self._runtime.load(plan["id"]).config
        make_targets(config)
        source = config.rootfs.path or "/"

        def prepare(to_us: socket.socket) -> None:
            """Mount the root on a place of its own, that criu alone sees: it must be a mount."""
            unshare(CloneFlag.NEWNS)
            m.mount(None, "/", None, _SLAVE)
            m.mount(source, root, None, _BIND)
            places = [os.open(path, os.O_RDONLY) for path in (images.path, images.work)]
            socket.send_fds(to_us, [b"."], places)

        outside: Fields = [
            *mounts_to_restore(config),
            *streams_to_restore(_read_descriptors(plan["id"], images.path)),
        ]
        with (
            o.failures_told(self._runtime, "restore", plan["id"], images, _LOG),
            Criu(self._runtime.criu, prepare=prepare, keeps_streams=True) as criu,
        ):
            images.take(criu.sent_by_prepare())
            for path in _procs_files(plan["cgroups"]):
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(criu.pid))
            fields: Fields = [
                *o.common_fields(self._values, images, config, _LOG),
                *((o.CGROUP_ROOT, one) for one in _own_cgroups(criu.pid, plan["cgroups"])),
                *((o.ROOT, root), (o.SIBLING, True), (o.EVASIVE, True)),
                *outside,
            ]
            answer = criu.request(RESTORE, fields, self._on_notice)
        pid: int = decode(answer[4][0])[1][0]
        return pid

    def _on_notice(self, notice: Notice) -> None:
        if notice.script == "setup-namespaces" and self.options.runtime_hooks is not None:
            self.options.runtime_hooks(notice.pid)
        if notice.script == "orphan-pts-master" and self.options.console_fd >= 0:
            with socket.socket(fileno=os.dup(self.options.console_fd)) as sock:
                socket.send_fds(sock, [b"/dev/ptmx"], notice.fds)


def _read_descriptors(container_id: str, images: str) -> list[str]:
    path = os.path.join(images, o.DESCRIPTORS)
    try:
        with open(path, encoding="utf-8") as file:
            names = json.load(file)
    except FileNotFoundError as error:
        raise o.bad_image(
            container_id, f"{images} holds no checkpoint: no {o.DESCRIPTORS}"
        ) from error
    except ValueError as error:
        raise o.bad_image(container_id, f"{path} is not JSON: {error}") from error
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise o.bad_image(container_id, f"{path} must be a list of texts")
    return names


def _own_cgroups(pid: int, cgroups: dict[str, str]) -> list[bytes]:
    """Return where criu, and so what it restores, is in each hierarchy of the container's."""
    rows = [line.split(":", 2) for line in read_file(f"/proc/{pid}/cgroup").decode().splitlines()]
    return [
        encode([(1, names), (2, path)] if names else [(2, path)])
        for _, names, path in rows
        if (names or UNIFIED) in cgroups or not cgroups.keys().isdisjoint(names.split(","))
    ]


def _procs_files(cgroups: dict[str, str]) -> list[str]:
    return [f"{directory}/cgroup.procs" for directory in dict.fromkeys(cgroups.values())]
