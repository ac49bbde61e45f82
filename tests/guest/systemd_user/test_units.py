"""The units of an ordinary user with a manager of his own and a delegated cgroup."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.guest.systemd.commands import (
    await_container,
    await_property,
    is_alive,
    reconciler,
    run,
    shown,
)

DAEMON, MONITOR = "reconciler.service", "reconciler-monitor.service"


def test_a_users_containers_survive_restarts_of_his_units() -> None:
    source = Path.home() / ".config/reconciler"
    source.mkdir(parents=True)
    spec = 'command: [sleep, "1000000"]\nresources: {memory: {max: 64Mi}}\n'
    (source / "web.yaml").write_text(spec)
    run_dir = f"{os.environ['XDG_RUNTIME_DIR']}/reconciler"
    assert "loginctl enable-linger" in reconciler("install", "--user")
    web = await_container(run_dir, "web")
    await_property(DAEMON, "ActiveState", "active", is_user=True)
    assert shown(DAEMON, "StatusText", is_user=True) == "1 container: 1 running"
    cgroup = Path(f"/proc/{web}/cgroup").read_text().strip().removeprefix("0::")
    assert "/user@31500.service/app.slice/reconciler-containers.scope/" in cgroup
    assert Path(f"/sys/fs/cgroup{cgroup}/memory.max").read_text() == "67108864\n"
    for unit in (DAEMON, MONITOR):
        before = shown(unit, "MainPID", is_user=True)
        run("systemctl", "--user", "restart", unit)
        assert shown(unit, "MainPID", is_user=True) != before
        assert is_alive(web)
    checks = json.loads(reconciler("doctor", "--output", "json"))["items"]
    found = {one["name"]: one["status"] for one in checks}
    assert (found["unit files"], found["linger"]) == ("OK", "WARN")
    reconciler("destroy", "--all")
    assert not is_alive(web)
    assert "removed" in reconciler("uninstall", "--user")
