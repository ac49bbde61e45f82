"""An ordinary user's containers: what root inside, who is that user, may not reach."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.test_rootless import (  # noqa: F401 - fixtures
    Run,
    home,
    reconciler,
    source,
)

pytestmark = [pytest.mark.requires_root, pytest.mark.requires_command("setpriv")]

WRITABLE = "find /sys -type f -writable -print -quit"


def test_no_file_of_sys_is_writable_not_even_its_own_cgroup(
    reconciler: Run,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """CVE-2023-25809: the host's /sys is bound, and with it the delegated cgroup."""
    assert subprocess.run(WRITABLE.split(), capture_output=True, check=True).stdout
    again = "umount -l /sys && echo gone; mount -o remount,rw /sys && echo open"
    spec = f'command: [sh, -c, "{WRITABLE}; {again}; id -u"]'
    open_to_all = 'user: "0:0"\nsecurity: {seccomp: unconfined}'
    (source / "job.yaml").write_text(f"kind: Job\n{open_to_all}\n{spec}\n")
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("wait", "job", "--for", "completed").returncode == 0
    said = reconciler("logs", "job", "--stream", "stdout").stdout
    assert said.split() == ["0"]


def test_a_group_that_keeps_the_user_out_cannot_be_dropped(
    reconciler: Run,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """CVE-2014-8989: files that are closed to a group by their mode."""
    script = "cat /proc/self/setgroups; setpriv --clear-groups echo dropped"
    (source / "job.yaml").write_text(f'kind: Job\ncommand: [sh, -c, "{script}; true"]\n')
    assert reconciler("apply", str(source)).returncode == 0
    assert reconciler("wait", "job", "--for", "completed").returncode == 0
    assert reconciler("logs", "job", "--stream", "stdout").stdout.split() == ["deny"]


def test_process_ids_are_not_shared_where_no_cgroup_says_whose_they_are(
    reconciler: Run,  # noqa: F811
    source: Path,  # noqa: F811
) -> None:
    """What the init leaves behind would outlive the container."""
    (source / "web.yaml").write_text("command: [sleep, '1000']\nnamespaces: {pid: host}\n")
    done = reconciler("apply", str(source))
    assert done.returncode == 1
    assert "needs a cgroup" in done.stdout + done.stderr
