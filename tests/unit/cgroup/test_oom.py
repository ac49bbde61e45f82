"""The monitor's figures at an OOM, on files as kernels show them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reconciler.cgroup.oom import OomNotice, memory_figures


def test_it_imports_no_model_and_no_error_tree() -> None:
    code = "import sys, reconciler.cgroup.oom; print('reconciler.model' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_figures_of_v1(tmp_path: Path) -> None:
    (tmp_path / "memory.usage_in_bytes").write_text("4096\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text("67108864\n")
    (tmp_path / "memory.limit_in_bytes").write_text("67108864\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert memory_figures({"memory": str(tmp_path), "unified": "/none"}) == {
        "usage_bytes": 4096,
        "peak_bytes": 67108864,
        "limit_bytes": 67108864,
        "oom_kills": 2,
    }
    (tmp_path / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_figures({"memory": str(tmp_path)})["limit_bytes"] is None


def test_figures_of_v2(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.peak").write_text("8192\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.events").write_text("max 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    paths = {"unified": str(tmp_path)}
    assert memory_figures(paths) == {
        "usage_bytes": 4096,
        "peak_bytes": 8192,
        "limit_bytes": None,
        "oom_kills": 1,
    }
    (tmp_path / "memory.peak").unlink()  # kernels before 5.19
    (tmp_path / "memory.max").write_text("16384\n")
    assert memory_figures(paths)["peak_bytes"] is None
    assert memory_figures(paths)["limit_bytes"] == 16384


def test_a_host_without_memory_cgroups_has_no_figures_and_gives_no_notice() -> None:
    paths = {"pids": "/none"}
    assert memory_figures(paths) == {
        "usage_bytes": None,
        "peak_bytes": None,
        "limit_bytes": None,
        "oom_kills": 0,
    }
    for paths in ({"pids": "/none"}, {"memory": "/none"}, {"unified": "/none"}):
        notice = OomNotice(paths)
        assert notice.fd == -1
        notice.close()
