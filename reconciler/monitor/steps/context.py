"""What one set-up step leaves for later ones."""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING, Any
from reconciler.linux.calls import OWN_SLOTS, Calls, Fd

if TYPE_CHECKING:
    import socket


class Context:
    """State of one set-up.

    `status_fd` is where the parent reads; `streams` are descriptors that came with the request;
    `trees` are fds of detached mounts, by the key of the step that opened them; `anchors` those
    of the mounts on /proc, /sys and /dev (see `places`); `state` is the container's, for hooks;
    `trampoline` is the program to be executed before the command, or -1;
    `closed_directory` is the working directory when it is the user's alone to enter; `listener`
    takes the notifications of the seccomp filter, with `listener_message`, and our own number is
    read from `host_proc` unless `own_pid` is known; `host_root` is the host's while the container's
    is visited.

    `calls` is where a step's `prepare` adds its system calls, before the clone (see `prepared`);
    `anchored` are the keys that `anchors` will have by the time that these are made, `fds` their
    descriptors, in which those of `trees` and `anchors` are where `shared` says.
    """

    def __init__(self, status_fd: int, streams: tuple[int, ...]) -> None:
        self.status_fd = status_fd
        self.streams = streams
        self.trees: dict[str, int] = {}
        self.anchors: dict[str, int] = {}
        self.listener: socket.socket | None = None
        self.listener_message: dict[str, Any] = {}
        self.host_proc = -1
        self.own_pid = 0
        self.host_root = -1
        self.trampoline = -1
        self.state: dict[str, Any] | None = None
        self.closed_directory: str | None = None
        self.calls = Calls()
        self.anchored: list[str] = []
        self.fds: list[int] = []
        self.shared: dict[tuple[str, str], int] = {}

    def tree(self, key: str) -> Fd:
        """Return where prepared calls find a detached mount."""
        return self._shared("trees", key)

    def anchor(self, path: str) -> Fd:
        """Return where prepared calls find an anchor."""
        return self._shared("anchors", path)

    def _shared(self, holder: str, key: str) -> Fd:
        return Fd(self.shared.setdefault((holder, key), OWN_SLOTS + len(self.shared)))

    def drop_anchors(self) -> None:
        """Prepare the end of the anchors: the container's tree is there."""
        for path in self.anchored:
            self.calls.close(self.anchor(path))
        self.anchored.clear()
