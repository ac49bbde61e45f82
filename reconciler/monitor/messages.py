"""The wire between monitor and clients: one JSON message a packet, file descriptors beside it.

    client                                      monitor (unix socket, SOCK_SEQPACKET)
      | connect; SO_PEERCRED: same user          |
      | {"op": ...} [+ fd] --------------------->|
      |<------------------- {...} one answer ----| {"error": {...}} when it failed
      |                                          |
    ops: ping, start (+ memfd with the launch plan), start_held (+ the same and the reading end of
         a pipe: the init waits there until a byte comes), wait, subscribe (a stream of exits),
         retire (end as soon as nothing runs), exec (+ memfd with the plan, + streams: answers
         {"pid"} when it runs and {"exit"} at its end; a client that leaves kills it)

A connection carries one request. `wait` and `subscribe` keep it open until there is
something to say; end of file before an answer means that the monitor is gone.
"""

from __future__ import annotations

from reconciler.lean import Any, json, socket

PACKET_MAX = 16384
BAD_REQUEST = "bad request"  # begins the error's text, of older versions too


def send(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message. Raises: OSError (BrokenPipeError when the peer is gone)."""
    data = json.dumps(message).encode()
    if fds:
        socket.send_fds(sock, [data], fds)
    else:
        sock.send(data)


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return one message and its fds (close-on-exec); (None, []) when the peer has closed.

    Raises: OSError (BlockingIOError when there is none yet), ValueError when it is not JSON.
    """
    data, fds, _flags, _address = socket.recv_fds(sock, PACKET_MAX, 4, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None, fds
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")
    return message, fds
