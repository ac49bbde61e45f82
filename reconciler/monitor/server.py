"""The monitor's loop: parent of every container, single-threaded, driven by epoll.

Owns the children, their logs and the socket; takes no decision. Runs until `lifetime` is over.
"""

from __future__ import annotations

import os
import select
import struct
import sys

from reconciler.lean import Any, Callable, json, partial, signal, socket, suppress
from reconciler.linux.memfd import read_memfd
from reconciler.linux.proc import read_boot_id
from reconciler.linux.reaping import collect_held, has_held
from reconciler.monitor import messages
from reconciler.monitor.adoption import Adoption
from reconciler.monitor.children import Child
from reconciler.monitor.execs import Exec
from reconciler.monitor.inits import kill_and_reap
from reconciler.monitor.launch import launch, parse_status, read_status
from reconciler.monitor.lifetime import Lifetime
from reconciler.monitor.listener import Listener
from reconciler.monitor.logs import open_fifos
from reconciler.monitor.oom import OomLooks
from reconciler.monitor.run_file import RUN_FILE, read_run
from reconciler.monitor.starting import launch_child
from reconciler.monitor.steps import decode_steps
from reconciler.monitor.strays import Strays

Handler = Callable[[], None]
_RETRY_S = 1.0


class Monitor:
    """State of the loop. `run_dir` holds `containers/`."""

    def __init__(self, run_dir: str, listener: Listener, lifetime: Lifetime) -> None:
        self.run_dir = run_dir
        self.listener = listener
        self.lifetime = lifetime
        self.boot_id = read_boot_id()
        self.children: dict[str, Child] = {}
        self.execs: dict[int, Exec] = {}  # by the client's descriptor; by -pid: without client
        self.unsaved: dict[str, dict[str, Any]] = {}
        self.subscribers: list[socket.socket] = []
        self.connections: dict[int, socket.socket] = {}
        self.parents: set[str] = set()
        self._adoption = Adoption(run_dir, self.boot_id)
        self._oom_looks = OomLooks()
        self._strays = Strays(self._known_pids, self._is_launching)
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def run(self) -> None:
        """Serve until its end. Errors of one event are written to standard error, and it goes on.

        What is being started when it is told to end is started first.
        """
        self._watch_listener()
        self._watch(self.lifetime.fileno(), self.on_signal)
        while not self.lifetime.is_over(is_idle=self._is_idle()):
            is_told_to_end = self.listener.has_successor or self.lifetime.is_told_to_end
            if is_told_to_end and not self._is_launching():
                return
            self.lifetime.beat()
            for fd, _mask in self._epoll.poll(self._patience_s()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    self._guard(handler)
            self._guard(self._look_after_oom)
            self._guard(collect_held)
            self._guard(self._strays.collect)
            self._guard(self.adopt_all)
            if not self.listener.is_serving:
                self._guard(self._serve_again)
        self._remove_empty_parents()

    # --- events

    def on_connect(self) -> None:
        """Accept a client of our own user."""
        sock, _ = self.listener.sock.accept()
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] not in (0, os.geteuid()):
            sock.close()
            return
        sock.setblocking(False)
        self._watch(sock.fileno(), partial(self.on_request, sock))  # if it fails, sock goes
        self.connections[sock.fileno()] = sock

    def on_signal(self) -> None:
        """Told to end, take nobody in any more; what connects now is for the next monitor."""
        if self.lifetime.take_signals():
            self._unwatch(self.listener.sock.fileno())

    def on_socket_changed(self) -> None:
        """Listen anew when the socket was removed."""
        if self.listener.is_removed():
            self._unwatch(self.listener.watch_fd)
            self._unwatch(self.listener.sock.fileno())
            self.listener.close()

    def on_request(self, sock: socket.socket) -> None:
        """Read one request and answer it; a closed connection is forgotten."""
        fds: list[int] = []
        try:
            message, fds = messages.receive(sock)
            if message is None:
                self._drop(sock)
                return
            operation = {
                "ping": self.do_ping,
                "start": self.do_start,
                "start_held": self.do_start,
                "wait": self.do_wait,
                "subscribe": self.do_subscribe,
                "retire": self.do_retire,
                "exec": self.do_exec,
            }[message["op"]]
            operation(sock, message, fds)
        except ConnectionError:
            self._drop(sock)
        except OSError as error:
            self._answer_error(sock, error.errno or 0, error.filename, error.strerror or "")
        except (LookupError, TypeError, ValueError) as error:
            self._answer_error(sock, 22, None, f"{messages.BAD_REQUEST}: {error!r}")
        finally:
            for fd in fds:
                os.close(fd)

    def on_launch_status(self, child: Child) -> None:
        """Tell the starter how the set-up ended: the command runs, or a step failed."""
        child.said, is_all = read_status(child.status_fd, child.said)
        if not is_all:
            return
        _, failure = parse_status(child.said)
        self._unwatch(child.status_fd)
        os.close(child.status_fd)
        child.status_fd = -1
        starter, child.starter = child.starter, None
        if failure is not None:
            self._discard(child)
            if starter is not None:
                self._answer(starter, {"error": failure})
        elif starter is not None:
            run = child.run
            self._answer(starter, {key: run[key] for key in ("pid", "startTicks", "startedAt")})

    def on_log(self, child: Child, index: int) -> None:
        """Move one chunk of output; a stream that has ended is watched no longer."""
        stream = child.streams[index]
        had_error = child.log.error
        if not stream.pump():
            self._unwatch(stream.fd)
        if child.log.error != had_error and child.log.error:
            child.save()

    def on_oom(self, child: Child) -> None:
        """Look soon whom the OOM killer took; until then its notices are as good as one."""
        self._unwatch(child.oom.fd)
        self._oom_looks.add(child)

    def on_exit(self, child: Child) -> None:
        """Record the exit and tell everyone who waits for it."""
        while child.status_fd >= 0:  # the end came before its beginning was told
            self.on_launch_status(child)
        if child.id not in self.children:
            return
        self._unwatch_child(child)
        del self.children[child.id]
        exit_record = child.reap()
        try:
            child.save()
        except OSError:  # a full disk: whoever asks is still told
            self.unsaved[child.id] = exit_record
            raise
        finally:
            for sock in child.waiters:
                self._answer(sock, {"exit": exit_record})
            for sock in list(self.subscribers):
                self._push(sock, {"id": child.id, "exit": exit_record})

    def on_exec_status(self, process: Exec) -> None:
        """Tell the client that its process runs, or which step failed."""
        if not process.read_status():
            return
        self._unwatch(process.status_fd)
        failure = process.finish_launch()
        if failure is not None:
            process.close()
            self._answer(process.sock, {"error": failure})
            return
        self._watch(process.pidfd, partial(self.on_exec_exit, process))
        self._push(process.sock, {"pid": process.pid})

    def on_exec_exit(self, process: Exec) -> None:
        """Tell the client how its process ended."""
        self._unwatch(process.pidfd)
        self.execs.pop(-process.pid, None)
        self._answer(process.sock, {"exit": process.reap()})

    # --- requests

    def do_ping(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """Say who we are and how many containers run."""
        self._answer(sock, {"pid": os.getpid(), "containers": len(self.children)})

    def do_start(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """Clone a container from the launch plan in the memory file; answer when it runs."""
        plan = json.loads(read_memfd(fds[0]))
        directory = plan["directory"]
        known = self.children.get(os.path.basename(directory))
        if known is not None:  # of a record that was lost: whoever asks for a start knows of none
            signal.pidfd_send_signal(known.pidfd, signal.SIGKILL)
            raise FileExistsError(17, "the container has an init already", directory)
        # Held open from before the clone: what a container has written that ends before its Child
        # is made would be gone with the last descriptor.
        with open_fifos([os.path.join(directory, name) for name in plan["logStreams"]]):
            child = launch_child(plan, self.boot_id, tuple(fds[1:]))
        child.starter = sock
        try:
            self._take(child)
            self._watch(child.status_fd, partial(self.on_launch_status, child))
            child.save()
        except OSError:
            self._discard(child)
            raise

    def do_wait(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """Answer with the exit of a container, now or when it comes."""
        child = self.children.get(message["id"])
        if child is not None:
            child.waiters.append(sock)
            return
        run = read_run(os.path.join(self.run_dir, "containers", message["id"]))
        known = run["exit"] if run is not None else None
        known = known or self.unsaved.get(message["id"])
        if known is None:
            raise FileNotFoundError(2, "no such running container", message["id"])
        self._answer(sock, {"exit": known})

    def do_subscribe(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """Send every exit from now on."""
        self.subscribers.append(sock)
        self._push(sock, {"subscribed": True})

    def do_exec(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """Start a further process in a container; say when it runs, and how it ends."""
        plan = json.loads(read_memfd(fds[0]))
        if plan["id"] not in self.children:
            raise FileNotFoundError(2, "no such running container", plan["id"])
        steps = decode_steps(plan["steps"])
        launched = launch(steps, 0, plan["cgroupDir"], tuple(fds[1:]))
        lasts = message.get("lasts", False)  # clients of an older version say nothing
        process = Exec(sock, launched, self._known_pids, self._strays.look, lasts=lasts)
        self.execs[sock.fileno()] = process
        self._watch(process.status_fd, partial(self.on_exec_status, process))

    def do_retire(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        """End as soon as nothing runs, without lingering; answer whether that is now."""
        self.lifetime.linger_s = 0.0
        self._answer(sock, {"ends": not self.children and len(self.connections) == 1})

    # --- bookkeeping

    def _patience_s(self) -> float | None:
        """Return how long there is nothing to do; what cannot be had now is retried."""
        waits = [self._oom_looks.patience_s(), self._adoption.patience_s()]
        if not self.listener.is_serving or has_held():
            waits.append(_RETRY_S)
        return self.lifetime.patience_s(waits)

    def _is_idle(self) -> bool:
        return not self.children and not self.connections and self._adoption.is_done()

    def _serve_again(self) -> None:
        self.listener.listen()
        self._watch_listener()

    def _watch_listener(self) -> None:
        self._watch(self.listener.sock.fileno(), self.on_connect)
        if self.listener.watch_fd >= 0:
            self._watch(self.listener.watch_fd, self.on_socket_changed)

    def _known_pids(self) -> set[int]:
        inits = {one.run["pid"] for one in self.children.values()}
        return inits.union(*(one.pids() for one in self.execs.values()))

    def _is_launching(self) -> bool:
        is_launching = any(one.status_fd >= 0 for one in self.children.values())
        return is_launching or any(one.status_fd >= 0 for one in self.execs.values())

    def adopt_all(self) -> None:
        """Take over what an earlier monitor left running; record what ended meanwhile."""
        self._adoption.attempt(self._take_over)

    def _take_over(self, child: Child) -> None:
        try:
            self._take(child)
        except OSError:  # it is tried again
            self._unwatch_child(child)
            del self.children[child.id]
            child.close()
            raise

    def _take(self, child: Child) -> None:
        self.children[child.id] = child
        self.unsaved.pop(child.id, None)
        self.parents.update(os.path.dirname(path) for path in child.run["cgroups"].values())
        self._watch(child.pidfd, partial(self.on_exit, child))
        for index, stream in enumerate(child.streams):
            self._watch(stream.fd, partial(self.on_log, child, index))
        self._watch_oom(child)

    def _watch_oom(self, child: Child) -> None:
        if child.oom.fd >= 0:
            self._watch(child.oom.fd, partial(self.on_oom, child), child.oom.mask)

    def _look_after_oom(self) -> None:
        for child in self._oom_looks.take_settled():
            self._watch_oom(child)

    def _discard(self, child: Child) -> None:
        """Forget a child whose set-up failed, without a trace."""
        self._unwatch_child(child)
        del self.children[child.id]
        kill_and_reap(child.run["pid"], child.pidfd)
        child.close()
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(child.directory, RUN_FILE))

    def _unwatch_child(self, child: Child) -> None:
        self._oom_looks.discard(child)
        streams = (stream.fd for stream in child.streams)
        for fd in (child.pidfd, child.status_fd, child.oom.fd, *streams):
            self._unwatch(fd)

    def _watch(self, fd: int, handler: Handler, mask: int = select.EPOLLIN) -> None:
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler

    def _unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            with suppress(OSError):  # what is closed goes out of the epoll by itself
                self._epoll.unregister(fd)

    def _answer(self, sock: socket.socket, message: dict[str, Any]) -> None:
        """Send the one answer of a connection and end it."""
        with suppress(OSError):  # a client that is gone needs no answer
            messages.send(sock, message)
        self._drop(sock)

    def _answer_error(self, sock: socket.socket, number: int, path: str | None, text: str) -> None:
        failure = {"step": None, "kind": None, "errno": number, "path": path, "text": text}
        self._answer(sock, {"error": failure})

    def _push(self, sock: socket.socket, message: dict[str, Any]) -> None:
        """Send one of many messages; a client that does not keep up is dropped and looks anew."""
        try:
            messages.send(sock, message)
        except OSError:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        if self.connections.pop(sock.fileno(), None) is None:
            return
        self._unwatch(sock.fileno())
        for child in self.children.values():
            if child.starter is sock:
                child.starter = None
            if sock in child.waiters:
                child.waiters.remove(sock)
        if sock in self.subscribers:
            self.subscribers.remove(sock)
        process = self.execs.pop(sock.fileno(), None)
        if process is not None and process.can_do_without_client():
            self.execs[-process.pid] = process
        elif process is not None:
            self._unwatch(process.status_fd)
            self._unwatch(process.pidfd)
            process.close()
        sock.close()

    def _guard(self, handler: Handler) -> None:
        """Run one handler: what goes wrong in it is reported and must not stop the others."""
        try:
            handler()
        except Exception:  # noqa: BLE001 - one client's trouble is not the others'
            with suppress(OSError, ImportError):  # no room in the log, no descriptor to import with
                import traceback

                traceback.print_exc(file=sys.stderr)

    def _remove_empty_parents(self) -> None:
        for path in self.parents:
            with suppress(OSError):  # in use by another instance, or gone
                os.rmdir(path)
