"""Our client on a real bus: dbus-daemon, private to the test."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.linux.dbus import Connection, DBusError

pytestmark = pytest.mark.requires_command("dbus-daemon")

_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


@pytest.fixture
def bus() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as directory:
        path = f"{directory}/bus"
        config = Path(directory, "config")
        config.write_text(_CONFIG.format(path=path))
        with subprocess.Popen(
            [
                "dbus-daemon",
                f"--config-file={config}",
                "--nofork",
                "--nopidfile",
                "--print-address",
            ],
            stdout=subprocess.PIPE,
        ) as daemon:
            assert daemon.stdout is not None
            assert daemon.stdout.readline()  # its address: it listens now
            yield path
            daemon.terminate()


def test_a_call_is_answered(bus: str) -> None:
    with Connection(bus, is_bus=True) as connection:
        (names,) = connection.call(*_BUS, "ListNames")
        assert "org.freedesktop.DBus" in names
        assert connection.call(*_BUS, "RequestName", "su", "org.example.One", 0) == [1]


def test_an_error_has_its_name_and_words(bus: str) -> None:
    with Connection(bus, is_bus=True) as connection:
        with pytest.raises(DBusError, match=r"org\.example\.None") as caught:
            connection.call(*_BUS, "GetNameOwner", "s", "org.example.None")
        assert caught.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"


def test_signals_that_come_before_a_reply_are_kept(bus: str) -> None:
    with Connection(bus, is_bus=True) as connection, Connection(bus, is_bus=True) as other:
        connection.match("type='signal',member='NameOwnerChanged',arg0='org.example.Two'")
        other.call(*_BUS, "RequestName", "su", "org.example.Two", 0)
        assert connection.call(*_BUS, "NameHasOwner", "s", "org.example.Two") == [True]
        assert connection.next_signal("NameOwnerChanged")[0] == "org.example.Two"


def test_a_bus_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        Connection("/no/such/bus", is_bus=True)
