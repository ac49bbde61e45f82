"""What one set-up step leaves for later ones."""

from __future__ import annotations

import os

from reconciler.lean import TYPE_CHECKING, Any

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
    read from `host_proc`; `host_root` is the host's while the container's is visited.
    """

    def __init__(self, status_fd: int, streams: tuple[int, ...]) -> None:
        self.status_fd = status_fd
        self.streams = streams
        self.trees: dict[str, int] = {}
        self.anchors: dict[str, int] = {}
        self.listener: socket.socket | None = None
        self.listener_message: dict[str, Any] = {}
        self.host_proc = -1
        self.host_root = -1
        self.trampoline = -1
        self.state: dict[str, Any] | None = None
        self.closed_directory: str | None = None

    def drop_anchors(self) -> None:
        """Close the anchors: the container's tree is there."""
        for fd in self.anchors.values():
            os.close(fd)
        self.anchors.clear()
