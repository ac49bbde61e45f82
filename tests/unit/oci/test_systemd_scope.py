from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError
from reconciler.linux.systemd import UNLIMITED
from reconciler.oci.fields import Fields
from reconciler.oci.systemd_scope import name_scope, read_limits


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("machine.slice:libpod:abc", ("machine.slice", "libpod-abc.scope")),
        ("a-b.slice::abc", ("a-b.slice", "abc.scope")),
        (None, (None, "reconciler-c1.scope")),
    ],
)
def test_a_path_names_slice_and_scope(path: str | None, scope: tuple[str | None, str]) -> None:
    fields = Fields({} if path is None else {"cgroupsPath": path}, "linux")
    parent, name = name_scope(fields, "c1")
    assert name == scope[1]
    assert parent == scope[0] or (scope[0] is None and parent.endswith(".slice"))


@pytest.mark.parametrize(
    "path", ["/a/b", "a:b", "x:y:z", "a.slice:b:", "a.slice:b:c.slice", "a/b:c:d"]
)
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(ReconcilerError, match="cgroupsPath"):
        name_scope(Fields({"cgroupsPath": path}, "linux"), "c1")


def test_what_the_kernel_limits_is_what_systemd_is_told(tmp_path: Path) -> None:
    samples = {
        "memory.max": "67108864\n",
        "memory.swap.max": "max\n",
        "pids.max": "64\n",
        "cpu.weight": "79\n",
        "cpu.max": "50000 100000\n",
        "cpuset.cpus": "0-1,9\n",
        "cpuset.mems": "\n",
    }
    for name, text in samples.items():
        (tmp_path / name).write_text(text)
    assert dict(read_limits(str(tmp_path))) == {
        "MemoryMax": ("t", 67108864),
        "MemorySwapMax": ("t", UNLIMITED),
        "TasksMax": ("t", 64),
        "CPUWeight": ("t", 79),
        "AllowedCPUs": ("ay", [0b11, 0b10]),
        "AllowedMemoryNodes": ("ay", []),
        "CPUQuotaPerSecUSec": ("t", 500_000),
        "CPUQuotaPeriodUSec": ("t", 100_000),
    }
