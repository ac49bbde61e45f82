"""What this project uses of `socket`, without the import of `enum` and `selectors`."""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import *  # noqa: F403
    from socket import recv_fds as recv_fds
    from socket import send_fds as send_fds
else:
    import _socket
    from _socket import *  # noqa: F403

    _INT_SIZE = 4

    class socket(_socket.socket):
        """As socket.socket."""

        __slots__ = ("__weakref__",)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def accept(self):
            fd, address = self._accept()
            return socket(self.family, self.type, self.proto, fd), address

    def socketpair(family=_socket.AF_UNIX, kind=_socket.SOCK_STREAM):
        """Return two sockets that are connected."""
        first, second = _socket.socketpair(family, kind)
        return socket(fileno=first.detach()), socket(fileno=second.detach())

    def send_fds(sock, buffers, fds):
        """Send data with descriptors."""
        packed = b"".join(fd.to_bytes(_INT_SIZE, _ORDER) for fd in fds)
        return sock.sendmsg(buffers, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])

    def recv_fds(sock, size, most, flags=0):
        """Return data, descriptors, flags and address."""
        room = _socket.CMSG_LEN(most * _INT_SIZE)
        data, ancillary, got_flags, address = sock.recvmsg(size, room, flags)
        fds = [
            int.from_bytes(packed[at : at + _INT_SIZE], _ORDER)
            for level, kind, packed in ancillary
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
            for at in range(0, len(packed) - len(packed) % _INT_SIZE, _INT_SIZE)
        ]
        return data, fds, got_flags, address

    from sys import byteorder as _ORDER
