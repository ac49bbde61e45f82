"""What the guest is for an ordinary user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

DELEGATED = Path("/sys/fs/cgroup/delegated")


def test_we_are_a_user_with_subordinate_ids() -> None:
    assert pwd.getpwuid(os.geteuid()).pw_name == "tester"
    assert "tester:150000:65536" in Path("/etc/subuid").read_text().splitlines()


def test_our_cgroup_is_delegated() -> None:
    assert (DELEGATED / "cgroup.procs").stat().st_uid == os.geteuid()
    assert (DELEGATED / "memory.max").stat().st_uid == 0
    (DELEGATED / "mine").mkdir()
    (DELEGATED / "mine").rmdir()
