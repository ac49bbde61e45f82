"""On a host whose mounts are shared, as systemd makes them: mount namespaces of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("unshare")]


@pytest.mark.parametrize("propagation", [None, "private", "rslave", "shared"])
def test_a_root_below_a_shared_mount_can_be_entered(
    oci: Oci, write_spec: Callable[[Spec], None], propagation: str | None
) -> None:
    spec = make_spec("echo", "runs")
    if propagation is not None:
        spec["linux"]["rootfsPropagation"] = propagation
    write_spec(spec)
    oci.program[:0] = ["unshare", "--mount", "--propagation", "shared"]
    assert oci.ok("run", oci.id()) == "runs\n"
