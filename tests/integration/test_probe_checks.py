"""Single checks of probes, against real servers and commands in real containers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from reconciler import Engine
from reconciler.control.probes.checks import NotCheckedError, run_check
from reconciler.control.probes.targets import Target
from reconciler.linux.proc import read_stat
from reconciler.model.config import Config, Mount, MountType, NetworkMode
from reconciler.model.spec import NS, HttpCheck, Probe, Probes, TcpCheck
from tests.e2e.waiting import wait_until
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

TMP = (Mount(type=MountType.TMPFS, target="/tmp"),)
PATIENT_NS = 20 * NS
HASTY_NS = NS // 5

# Answers by path; /drip sends a header for ever, /stall says nothing.
SERVER = """
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, self.headers.get("Host"), self.headers.get("X-Key"), flush=True)
        if self.path == "/stall":
            time.sleep(1000)
        status = {"/moved": 302, "/bad": 503}.get(self.path, 200)
        self.send_response(status)
        if self.path == "/drip":
            self.flush_headers()
            while True:
                self.wfile.write(b"X")
                time.sleep(0.01)
        self.send_header("Location", "/bad")
        self.end_headers()
        self.wfile.write(b"x" * 300_000)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""

Check = Callable[..., str | None]


@pytest.fixture
def check(engine: Engine) -> Check:
    """Return a function that checks a probe of the container c1."""

    def run(timeout_ns: int = PATIENT_NS, **how: object) -> str | None:
        probe = Probe(timeout_ns=timeout_ns, **how)  # type: ignore[arg-type]
        return run_check(engine, target_of(engine), probe)

    return run


def target_of(engine: Engine) -> Target:
    record = engine.load("c1").record
    assert record.init is not None
    assert record.started_at is not None
    return Target("c1", record.init.pid, record.started_at, Probes())


def start(engine: Engine, config: Config) -> None:
    engine.create("c1", config).start()


def serve(engine: Engine, check: Check, **fields: object) -> None:
    """Start the server and wait until it takes connections."""
    start(engine, Config(command=("python3", "-c", SERVER), **fields))  # type: ignore[arg-type]
    wait_until(lambda: check(tcp=TcpCheck(port=8080)) is None, "the server listens")


def test_http_and_tcp_are_checked_in_the_network_of_the_container(
    engine: Engine, check: Check
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as of_the_host:
        port = of_the_host.getsockname()[1]
        serve(engine, check)
        assert check(http=HttpCheck(port=8080)) is None
        refused = f"cannot connect to 127.0.0.1:{port}: connection refused"
        assert check(tcp=TcpCheck(port=port)) == refused
        assert check(http=HttpCheck(port=port)) == refused
        with socket.create_connection(
            ("127.0.0.1", port)
        ) as ours:  # and we are still where we were
            assert ours.getpeername()[1] == port


def test_with_the_network_of_the_host_it_is_checked_there(engine: Engine, check: Check) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as of_the_host:
        port = of_the_host.getsockname()[1]
        start(engine, shell("sleep 1000", network=NetworkMode.HOST))
        assert check(tcp=TcpCheck(port=port, host="::1")) is None
        of_the_host.close()
        why = check(tcp=TcpCheck(port=port, host="::1"))
        assert why == f"cannot connect to [::1]:{port}: connection refused"


def test_http_passes_with_a_redirect_which_is_not_followed_and_fails_with_an_error(
    engine: Engine, check: Check
) -> None:
    serve(engine, check)
    headers = {"host": "example.org", "X-Key": "k"}
    assert check(http=HttpCheck(port=8080, path="/moved?a=b", headers=headers)) is None
    assert check(http=HttpCheck(port=8080, path="/moved")) is None
    why = check(http=HttpCheck(port=8080, path="/bad"))
    assert why == "GET http://127.0.0.1:8080/bad answered 503 Service Unavailable"
    wanted = ["/moved?a=b example.org k", "/moved 127.0.0.1:8080 None", "/bad 127.0.0.1:8080 None"]
    wait_until(lambda: output(engine, "c1") == wanted, "each request came once")


@pytest.mark.parametrize("path", ["/drip", "/stall"])
def test_a_server_that_drips_or_stalls_is_not_waited_for_longer_than_the_time_out(
    engine: Engine, check: Check, path: str
) -> None:
    serve(engine, check)
    assert check(HASTY_NS, http=HttpCheck(port=8080, path=path)) == "no answer within 200ms"


def test_what_does_not_speak_http_fails_with_what_is_wrong(engine: Engine, check: Check) -> None:
    script = "while true; do printf 'SSH-2.0-x\\r\\n' | /bin/busybox nc -l -p 9000; done"
    start(engine, shell(script))
    why = wait_until(
        lambda: "BadStatusLine" in (said := check(http=HttpCheck(port=9000)) or "") and said, "SSH"
    )
    assert str(why).startswith("GET http://127.0.0.1:9000/: no HTTP answer: ")


LISTEN = (
    "import os, socket, sys, time; os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True); "
    "os.chdir(os.path.dirname(sys.argv[1])); s = socket.socket(socket.AF_UNIX); "
    "s.bind(os.path.basename(sys.argv[1])); s.listen(int(sys.argv[2])); time.sleep(1000)"
)


@pytest.mark.parametrize("path", ["/tmp/app.sock", "/tmp/" + "d" * 100 + "/" + "e" * 60 + "/s"])
def test_a_unix_socket_is_found_in_the_container_under_a_long_path_too(
    engine: Engine, check: Check, path: str
) -> None:
    start(engine, Config(command=("python3", "-c", LISTEN, path, "100"), mounts=TMP))
    wait_until(lambda: check(unix=path) is None, "it listens")
    why = check(unix="/tmp/other")
    assert why == "cannot connect to /tmp/other: no such file or directory"
    why = check(unix="/etc/passwd")
    assert why == "cannot connect to /etc/passwd: socket operation on non-socket"


def test_a_unix_socket_whose_queue_is_full_is_waited_for_until_the_time_out(
    engine: Engine, check: Check
) -> None:
    start(engine, Config(command=("python3", "-c", LISTEN, "/tmp/s", "0"), mounts=TMP))
    wait_until(lambda: check(unix="/tmp/s") is None, "it listens")
    assert check(HASTY_NS, unix="/tmp/s") == "no answer within 200ms"


@pytest.mark.parametrize(
    "way", ["{socket}", "../../../../../../..{socket}", "/proc/1/root{socket}"]
)
def test_no_symlink_in_the_container_leads_to_a_socket_of_the_host(
    engine: Engine, check: Check, tmp_path: Path, way: str
) -> None:
    path = f"/tmp/rc-{os.getpid()}.sock"  # the container has a /tmp of its own
    with socket.socket(socket.AF_UNIX) as of_the_host:
        of_the_host.bind(path)
        try:
            of_the_host.listen(9)
            link = way.format(socket=path)
            start(engine, shell(f"ln -s {link} /tmp/app.sock; sleep 1000", mounts=TMP))
            pid = target_of(engine).pid
            wait_until(lambda: os.path.lexists(f"/proc/{pid}/root/tmp/app.sock"), "it is made")
            why = check(unix="/tmp/app.sock")
            assert why is not None
            assert why.startswith("cannot connect to /tmp/app.sock: ")
            of_the_host.setblocking(False)
            with pytest.raises(BlockingIOError):
                of_the_host.accept()
        finally:
            os.unlink(path)


def test_a_command_passes_with_0_and_fails_with_the_end_of_what_it_wrote(
    engine: Engine, check: Check
) -> None:
    start(engine, shell("touch /tmp/alive; sleep 1000", mounts=TMP))
    wait_until(lambda: check(exec=("test", "-e", "/tmp/alive")) is None, "it has begun")
    why = check(exec=("sh", "-c", "cat; yes | head -c 500000; echo at the end >&2; exit 3"))
    assert why is not None
    assert why.startswith("exit code 3: ")
    assert why.endswith("at the end")
    assert len(why) < 1000
    why = check(exec=("nothing-of-this-name",))
    assert why is not None
    assert "nothing-of-this-name" in why


def test_a_command_that_does_not_end_is_killed_with_what_it_has_started(
    engine: Engine, check: Check
) -> None:
    start(engine, Config(command=("sleep", "1000")))
    script = "echo hello; sleep 2000 & sleep 3000"
    why = check(NS, exec=("sh", "-c", script))
    assert why == "it took too long: hello"
    container = engine.load("c1")

    def alive() -> int:  # nobody reaps what this init has inherited
        return sum(
            (stat := read_stat(pid)) is not None and stat.is_alive()
            for pid in container.processes()
        )

    wait_until(lambda: alive() == 1, "only the init is left")


def test_a_command_that_leaves_something_behind_that_holds_its_output_is_over_when_it_ends(
    engine: Engine, check: Check
) -> None:
    start(engine, shell("sleep 1000"))
    assert check(exec=("sh", "-c", "sleep 1000 & exit 0")) is None


def test_nothing_is_found_out_about_what_is_paused_ended_or_another_run(
    engine: Engine, check: Check
) -> None:
    start(engine, shell("sleep 1000"))
    container, first = engine.load("c1"), target_of(engine)
    probe = Probe(exec=("true",), timeout_ns=PATIENT_NS)
    container.pause()
    wait_until(lambda: container.status() == "paused", "paused")
    with pytest.raises(NotCheckedError, match="paused"):
        run_check(engine, first, probe)
    container.resume()
    assert run_check(engine, first, probe) is None
    container.stop(9, 0)
    with pytest.raises(NotCheckedError, match="stopped"):
        run_check(engine, first, probe)
    container.start()
    with pytest.raises(NotCheckedError, match="started again"):
        run_check(engine, first, probe)
    assert run_check(engine, target_of(engine), probe) is None
    container.destroy()
    with pytest.raises(NotCheckedError):
        run_check(engine, first, probe)


def test_a_container_that_ends_while_it_is_checked_has_not_failed(engine: Engine) -> None:
    start(engine, Config(command=("sleep", "1000")))
    container = engine.load("c1")

    def end_during_the_check() -> None:
        wait_until(lambda: len(engine.load("c1").processes()) > 1, "the command runs")
        container.stop(9, 0)

    thread = Thread(target=end_during_the_check)
    thread.start()
    with pytest.raises(NotCheckedError, match=r"it has ended|it is stopped"):
        run_check(engine, target_of(engine), Probe(exec=("sleep", "1000"), timeout_ns=PATIENT_NS))
    thread.join()
