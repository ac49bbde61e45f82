"""The command before a stop, as an operator meets it at the worst of times."""

from __future__ import annotations

import pytest

from tests.e2e.instance import Instance, shell
from tests.e2e.test_full_disk import fill, small_disk
from tests.e2e.waiting import wait_until


@pytest.mark.parametrize("directory", ["run_dir", "state_dir"])
def test_a_full_disk_is_not_in_the_way_of_the_command_before_a_destruction(
    directory: str, reconciler: Instance
) -> None:
    shared = reconciler.base / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with small_disk(reconciler, getattr(reconciler, directory)) as disk:
        mounts = [{"type": "bind", "source": str(shared), "target": "/tmp/shared"}]
        script = "trap 'echo term >> /tmp/shared/log; exit' TERM; touch /tmp/shared/up; "
        script += "while :; do sleep 1000 & wait $!; done"
        stop = {"grace": "10s", "preStop": ["/bin/sh", "-c", "echo pre >> /tmp/shared/log"]}
        reconciler.write("web.yaml", shell(script, mounts=mounts, stop=stop))
        reconciler.apply()
        wait_until((shared / "up").exists, "it runs")
        fill(disk)
        reconciler.run("destroy", "web")
        assert (shared / "log").read_text().split() == ["pre", "term"]
        assert reconciler.made() == set()
