"""Network devices that a container is given: config-linux.md, Network Devices."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("ip")]
WriteSpec = Callable[[Spec], None]


@pytest.fixture
def device() -> Iterator[str]:
    """Give a device with addresses, which is down afterwards, wherever it went."""
    name = f"rc{uuid.uuid4().hex[:8]}"
    made = subprocess.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("this kernel has no veth devices")
    for words in (
        ["addr", "add", "169.254.169.13/32", "dev", name],
        ["addr", "add", "fd00:99::1/64", "dev", name, "nodad"],
        ["link", "set", "up", "dev", name],
    ):
        subprocess.run(["ip", *words], check=True)
    yield name
    subprocess.run(["ip", "link", "del", f"{name}p"], check=False, capture_output=True)


def given(devices: dict[str, Any], *argv: str) -> Spec:
    """Return a config with network devices."""
    spec = make_spec(*argv)
    spec["linux"]["netDevices"] = devices
    return spec


@pytest.mark.parametrize("inside", ["", "inside0"])
def test_a_device_is_moved_renamed_and_up_with_its_addresses(
    oci: Oci, write_spec: WriteSpec, device: str, inside: str
) -> None:
    name = inside or device
    write_spec(given({device: {"name": inside} if inside else {}}, "ip", "address", "show", name))
    shown = oci.ok("run", oci.id())
    assert ",UP" in shown
    assert "inet 169.254.169.13/32 scope global" in shown
    assert "inet6 fd00:99::1/64 scope global" in shown
    assert subprocess.run(
        ["ip", "link", "show", device], check=False, capture_output=True
    ).returncode


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ({"rc-not-here": {}}, "No such device"),
        ({"a": {"name": "b/c"}}, "a name that none can have"),
        ({"a": {"name": "lo"}}, "a name that none can have"),
        ({"a": {"name": "x"}, "b": {"name": "x"}}, "two devices one name"),
    ],
)
def test_a_device_that_cannot_be_moved_is_an_error(
    oci: Oci, write_spec: WriteSpec, devices: dict[str, Any], said: str
) -> None:
    write_spec(given(devices, "true"))
    done = oci.run("run", oci.id())
    assert done.returncode == 1
    assert said in done.stderr


def test_a_device_needs_a_network_namespace_to_move_to(
    oci: Oci, write_spec: WriteSpec, device: str
) -> None:
    spec = given({device: {}}, "true")
    spec["linux"]["namespaces"] = [
        one for one in spec["linux"]["namespaces"] if one["type"] != "network"
    ]
    write_spec(spec)
    assert "need a network namespace" in oci.run("run", oci.id()).stderr
