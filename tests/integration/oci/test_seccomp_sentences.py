"""Sentences of config-linux.md, Seccomp: actions, architectures, flags, and who is notified."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.linux.syscall_numbers import syscall_numbers
from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]
Profile = dict[str, Any]
_MKDIR = ["mkdir", "mkdirat"]
_TRY = ("sh", "-c", "mkdir /srv/made; echo $?")
_NOTIF_SIZE, _RESPONSE = 80, struct.Struct("=QqiI")
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101


def rule(action: str, *names: str, **more: Any) -> Profile:
    """Return one entry of `syscalls`."""
    return {"names": list(names), "action": f"SCMP_ACT_{action}", **more}


def profile(*rules: Profile, default: str = "ALLOW", **more: Any) -> Profile:
    """Return a profile of these rules."""
    return {"defaultAction": f"SCMP_ACT_{default}", "syscalls": list(rules), **more}


def filtered(seccomp: Profile, *argv: str) -> Spec:
    """Return a config that runs a command under a profile."""
    spec = make_spec(*argv)
    spec["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    spec["linux"]["seccomp"] = seccomp
    return spec


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (rule("ERRNO", *_MKDIR), "1", "Operation not permitted"),
        (rule("ERRNO", *_MKDIR, errnoRet=errno.ENETDOWN), "1", "Network is down"),
        (rule("TRACE", *_MKDIR), "1", "Function not implemented"),
        (rule("TRAP", *_MKDIR), "159", "Bad system call"),
        (rule("KILL", *_MKDIR), "159", "Bad system call"),
        (rule("KILL_THREAD", *_MKDIR), "159", "Bad system call"),
        (rule("KILL_PROCESS", *_MKDIR), "159", "Bad system call"),
        (rule("LOG", *_MKDIR), "0", ""),
        (rule("ALLOW", *_MKDIR), "0", ""),
        (rule("ERRNO", "no_such_call"), "0", ""),
    ],
)
def test_each_action_does_what_its_name_says(
    oci: Oci, write_spec: WriteSpec, given: Profile, code: str, said: str
) -> None:
    write_spec(filtered(profile(given), *_TRY))
    done = oci.run("run", oci.id())
    assert (done.stdout.strip(), said in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize(
    ("seccomp", "said"),
    [
        (profile(rule("ALLOW", "read", errnoRet=1)), "returns no errno"),
        (profile(rule("KILL", "read", errnoRet=1)), "returns no errno"),
        (profile(defaultErrnoRet=1), "returns no errno"),
        (profile(rule("ERRNO")), "must have at least one entry"),
        (profile(rule("SMILE", "read")), "is no action"),
        (profile(architectures=["SCMP_ARCH_PDP11"]), "is no architecture"),
        (profile(flags=["SECCOMP_FILTER_FLAG_NONE"]), "is no flag"),
        (profile(flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), "SCMP_ACT_NOTIFY alone"),
        (profile(listenerMetadata="x"), "listenerPath, which is not set"),
        (profile(rule("NOTIFY", "mkdir")), "needs listenerPath"),
        (profile(rule("NOTIFY", "write"), listenerPath="/x"), "cannot be used for the write"),
        (profile(default="NOTIFY", listenerPath="/x"), "cannot be the default"),
        (profile(rule("NOTIFY", "mkdir"), listenerPath="/no/socket"), "cannot connect"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_an_error(
    oci: Oci, write_spec: WriteSpec, seccomp: Profile, said: str
) -> None:
    write_spec(filtered(seccomp, "true"))
    done = oci.run("run", oci.id())
    assert done.returncode == 1
    assert said in done.stderr


def test_a_listener_without_notifications_is_ignored(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(filtered(profile(listenerPath="/no/socket", listenerMetadata="x"), "true"))
    assert oci.ok("run", oci.id()) == ""


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_what_sets_up_the_container_does_not_need_what_the_filter_forbids(
    oci: Oci, write_spec: WriteSpec, no_new_privileges: bool
) -> None:
    calls = ("getcwd", "chdir", "close_range", "openat2", "mount_setattr", "move_mount", "fsopen")
    spec = filtered(profile(rule("ERRNO", *calls, errnoRet=errno.ENOSYS)), "echo", "ran")
    spec["process"]["noNewPrivileges"] = no_new_privileges
    write_spec(spec)
    assert oci.ok("run", oci.id()) == "ran\n"


def _program(machine_code: bytes) -> bytes:
    """Return an executable for x86_64 that is this code alone (elf(5))."""
    base, size = 0x400000, 120 + len(machine_code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("=HHIQQQIHHHHHH", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("=IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    return ident + header + segment + machine_code


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is x86_64's")
@pytest.mark.parametrize(
    ("architectures", "code"),
    [
        (["SCMP_ARCH_X86_64"], 128 + 31),
        ([], 128 + 31),
        (["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], errno.EXDEV),
    ],
)
def test_calls_of_an_architecture_that_is_listed_are_filtered_by_name(
    oci: Oci, write_spec: WriteSpec, rootfs: Path, architectures: list[str], code: int
) -> None:
    # mov eax, 39 (i386: mkdir); int 0x80; neg eax; mov ebx, eax; mov eax, 1 (exit); int 0x80
    made = _program(bytes.fromhex("b827000000cd80f7d889c3b801000000cd80"))
    (rootfs / "call").write_bytes(made)
    (rootfs / "call").chmod(0o755)
    seccomp = profile(rule("ERRNO", "mkdir", errnoRet=errno.EXDEV), architectures=architectures)
    write_spec(filtered(seccomp, "/call"))
    assert oci.run("run", oci.id()).returncode == code


class Listener(threading.Thread):
    """Takes one container process state and answers each notification with EMLINK."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        self.states: list[dict[str, Any]] = []
        self.closed: list[bool] = []

    def run(self) -> None:
        """Serve until the socket is closed."""
        import fcntl

        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, 65536, 2)
                self.states.append(json.loads(data) | {"received": len(fds)})
                self.closed.append(connection.recv(1) == b"")
            notice = bytearray(_NOTIF_SIZE)
            fcntl.ioctl(fds[0], _NOTIF_RECV, notice)
            number = struct.unpack_from("=Q", notice)[0]
            fcntl.ioctl(fds[0], _NOTIF_SEND, _RESPONSE.pack(number, 0, -errno.EMLINK, 0))
            os.close(fds[0])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """Give a listener at `agent` in the bundle."""
    made = Listener(tmp_path / "agent")
    made.start()
    yield made
    made.close()
    made.join()


def test_the_listener_gets_one_state_with_the_containers_in_it(
    oci: Oci, write_spec: WriteSpec, listener: Listener
) -> None:
    seccomp = profile(
        rule("NOTIFY", *_MKDIR),
        listenerPath=str(oci.bundle / "agent"),
        listenerMetadata="opaque",
    )
    spec = filtered(seccomp, "sh", "-c", "mkdir /srv/made 2>&1; exec sleep 1000")
    write_spec(spec | {"annotations": {"org.example.key": "value"}})
    oci.start_in_background("run", "-d", oci.id())
    state = oci.state(oci.id())
    while not listener.states:
        pass
    sent = listener.states[0]
    assert (sent["ociVersion"], sent["fds"], sent["received"]) == ("1.0.2", ["seccompFd"], 1)
    assert (sent["pid"], sent["metadata"]) == (state["pid"], "opaque")
    expected = {name: state[name] for name in ("ociVersion", "id", "pid", "bundle", "annotations")}
    assert sent["state"] == expected | {"status": "creating"}
    assert listener.closed == [True]
    done = oci.run("exec", oci.id(), *_TRY)
    assert "Too many links" in done.stderr
    further = listener.states[1]
    assert further["pid"] != state["pid"]
    assert further["state"] == expected | {"status": "running"}


def test_a_call_that_is_newer_than_any_known_fails_as_on_an_older_kernel(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """As runc has it: a library falls back upon ENOSYS, and not upon EPERM."""
    source = rootfs.parent / "call.c"
    source.write_text(
        "#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
        "int main(void) { return syscall(5000) < 0 ? errno : 0; }\n"
    )
    subprocess.run(["gcc", "-static", "-o", rootfs / "bin/call", source], check=True)
    known = sorted(syscall_numbers(os.uname().machine))
    allowed = rule("ALLOW", *(name for name in known if name != "mkdir"))
    write_spec(filtered(profile(allowed, default="ERRNO"), "call"))
    assert oci.run("run", oci.id()).returncode == errno.ENOSYS
    denied = [name for name in known if name not in _MKDIR]
    write_spec(filtered(profile(rule("ALLOW", *denied), default="ERRNO"), *_TRY))
    assert "Operation not permitted" in oci.run("run", oci.id()).stderr
