"""The step that makes an overlay whose files' owners are mapped, for a user namespace.

An overlay itself cannot have its ids mapped, but its layers can (Linux 5.19). They must be mounted
somewhere for that: in a mount namespace of a helper's, which ends with it. The overlay keeps its
layers.

    launcher                               helper
      |--- clone3, CLONE_NEWNS ------------->| mounts both layers over themselves, mapped
      |                                      | mounts the overlay of them
      |<-- the overlay, detached, or an error| _exit
"""

from __future__ import annotations

import os

from reconciler.lean import NamedTuple, NoReturn, json, socket
from reconciler.linux import mount as m
from reconciler.linux import process
from reconciler.linux.process import CloneFlag, clone3
from reconciler.linux.userns import open_user_namespace
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.root import escape_layer

_PRIVATE = int(m.MountFlag.REC | m.MountFlag.PRIVATE)
_NODEV = int(m.MountFlag.NODEV)
_IDMAP = int(m.MountAttr.IDMAP)
_NEWNS = int(CloneFlag.NEWNS)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# capabilities(7): the capabilities stay when the user changes.
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 4
_MESSAGE_MAX = 65536


class MapOverlay(NamedTuple):
    """Make an overlay of `lower` and of `upper` and `work` in `layers`; `maps` are uid and gid.

    The kernel writes to the layers as who mounts it: `uid` and `gid` are those of the host that
    root inside is, as the host's own root has no number there.
    """

    key: str
    lower: str
    layers: str
    maps: dict[str, str]
    uid: int
    gid: int

    def describe(self) -> str:
        return f"overlay {self.lower} with its ids mapped"

    def execute(self, context: Context) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        namespace = open_user_namespace(self.maps)
        try:
            pid, pidfd = clone3(_NEWNS)
            if pid == 0:
                self._help(theirs, namespace)
            theirs.close()
            said, fds, _, _ = socket.recv_fds(ours, _MESSAGE_MAX, 1)
            os.waitpid(pid, 0)
            os.close(pidfd)
        finally:
            os.close(namespace)
            theirs.close()
            ours.close()
        if not fds:
            number, text, path = json.loads(said or b'[3, "its helper was killed", null]')
            raise OSError(number, text, path)
        context.trees[self.key] = fds[0]

    def _help(self, theirs: socket.socket, namespace: int) -> NoReturn:
        """Make it, hand it over and end."""
        answer: list[object] = []
        try:
            socket.send_fds(theirs, [b"[]"], [self._mount(namespace)])
            os._exit(0)
        except OSError as error:
            answer = [error.errno, error.strerror, error.filename]
        except BaseException as error:  # noqa: BLE001 - the helper must not outlive its task
            answer = [0, f"internal error: {error!r}", None]
        os.write(theirs.fileno(), json.dumps(answer).encode())
        os._exit(0)

    def _mount(self, namespace: int) -> int:
        m.mount(None, "/", None, _PRIVATE)
        for path in (self.lower, self.layers):
            place = os.open(path, _DIRECTORY)
            tree = m.clone_tree_at(place, recursive=False)
            m.set_mount_attributes(tree, _IDMAP, recursive=False, userns_fd=namespace)
            m.attach_tree_at(tree, place)
        self._become_owner()
        layers = f"upperdir={self.layers}/upper,workdir={self.layers}/work"
        data = f"lowerdir={escape_layer(self.lower)},{layers}"
        m.mount("overlay", self.lower, "overlay", _NODEV, data)
        return m.clone_tree_at(os.open(self.lower, _DIRECTORY), recursive=False)

    def _become_owner(self) -> None:
        """Be who root inside is, with all that root may."""
        process.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


STEPS = (MapOverlay,)
