from __future__ import annotations

import os
import socket

from reconciler.linux.notify import Notifier, take_listeners, take_notifier


def heard(listener: socket.socket) -> list[str]:
    return listener.recv(4096).decode().splitlines()


def test_a_service_tells_that_it_is_ready_and_how_it_is(listener: socket.socket) -> None:
    notifier = Notifier(listener.getsockname())
    notifier.ready("2 containers:\n 2 running")
    assert heard(listener) == ["READY=1", "STATUS=2 containers: 2 running"]
    notifier.status("1 container")
    assert heard(listener) == ["STATUS=1 container"]
    notifier.alive()
    assert heard(listener) == ["WATCHDOG=1"]
    notifier.stopping()
    assert heard(listener) == ["STOPPING=1"]


def test_a_reload_tells_when_it_began(listener: socket.socket) -> None:
    Notifier(listener.getsockname()).reloading()
    word, moment = heard(listener)
    assert word == "RELOADING=1"
    assert moment.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_an_abstract_socket_is_heard_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")  # the kernel chooses an abstract name (unix(7), autobind)
        name = sock.getsockname().decode()
        Notifier("@" + name[1:]).alive()
        assert sock.recv(100) == b"WATCHDOG=1"


def test_nothing_is_told_where_nobody_listens() -> None:
    notifier = take_notifier({})
    assert not notifier.is_heard
    notifier.ready("")
    Notifier("/no/such/socket").ready("")


def test_a_manager_that_does_not_listen_any_more_holds_nobody_up(listener: socket.socket) -> None:
    notifier = Notifier(listener.getsockname())
    for _ in range(16):  # more than its queue has room for (net.unix.max_dgram_qlen)
        notifier.alive()
    assert heard(listener) == ["WATCHDOG=1"]


def test_the_environment_says_where_and_how_often_and_is_not_handed_on() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "A": "b"}
    notifier = take_notifier(environ)
    assert notifier.is_heard
    assert notifier.watchdog_s == 3.0
    assert environ == {"A": "b"}


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}
    assert take_notifier(environ).watchdog_s is None


def test_sockets_are_taken_only_when_they_are_for_us() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert take_listeners(environ) == []
    assert environ == {}
    assert take_listeners({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) == []
