"""On a host whose mounts are shared, as systemd makes them: mount namespaces of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    script = "wc -l < /proc/self/mountinfo"
    script = f'{script}; "$@"; code=$?; {script}; exit $code'
    shared = ["unshare", "--mount", "--propagation", "shared", "sh", "-c", script, "sh"]
    oci.program[:0] = shared
    before, said, after = oci.ok("run", oci.id()).split()
    assert said == "runs"
    assert before == after  # what the container leaves behind stays mounted for the host
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{oci.id()}"))
    del oci.program[: len(shared)]
