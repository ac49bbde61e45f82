"""What a container sees and may do, seen from inside and in the kernel's own files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import kernel
from tests.e2e.conftest import lend
from tests.e2e.instance import Instance, shell, sleeper
from tests.e2e.waiting import wait_until

NAMESPACES = ("pid", "mnt", "uts", "ipc", "net", "cgroup")

LOOK = """
echo host $(cat /proc/sys/kernel/hostname)
echo id $(id -u):$(id -g) groups $(id -G)
echo self $$
echo net $(ls /sys/class/net)
(: > /etc/reconciler-was-here) 2>/dev/null && echo root writable || echo root read-only
(: > /data/x) 2>/dev/null && echo bind writable || echo bind read-only
cat /data/hello
(: > /scratch/x) && echo tmpfs writable
mount -t tmpfs none /tmp 2>/dev/null && echo can mount || echo cannot mount
echo lo $(cat /sys/class/net/lo/operstate)
: > /dev/null && echo null works
cat /proc/kcore >/dev/null 2>&1 && echo kcore readable || echo kcore hidden
(echo 1 > /proc/sys/kernel/randomize_va_space) 2>/dev/null && echo sysctl || echo no sysctl
echo looked
exec sleep inf
"""


@pytest.fixture(scope="module")
def shared(busybox: Path) -> Iterator[Instance]:
    """Start the containers that the tests of this file look at."""
    for instance in lend():
        data = instance.base / "data"
        data.mkdir()
        (data / "hello").write_text("hello from the host\n")
        mounts = [
            {"type": "bind", "source": "../data", "target": "/data", "options": ["ro"]},
            {"type": "tmpfs", "target": "/scratch", "size": "1Mi", "mode": "1777"},
        ]
        own = {"user": "app", "groups": ["video"], "rootfs": {"path": str(busybox)}}
        instance.write("host.yaml", sleeper())
        instance.write("look.yaml", shell(LOOK, mounts=mounts, hostname="inner.example", **own))
        instance.write("hostnet.yaml", sleeper(network="host", user="12:34", oomScoreAdj=500))
        instance.write(
            "tuned.yaml",
            sleeper(
                rlimits={"nofile": {"soft": 111, "hard": 222}, "core": 0},
                security={"capabilities": ["NET_BIND_SERVICE"], "seccomp": "unconfined"},
                resources={"cpu": {"cpus": "0", "weight": 50}},
            ),
        )
        overlay = {"path": str(busybox), "overlay": True}
        instance.write(
            "layered.yaml", shell("echo mine > /etc/own; exec sleep inf", rootfs=overlay)
        )
        instance.apply()
        yield instance


@pytest.fixture(scope="module")
def seen(shared: Instance) -> list[str]:
    """Return what the container `look` saw."""
    return shared.wait_for_log("look", "looked")


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_container_has_namespaces_of_its_own(shared: Instance, kind: str) -> None:
    items = shared.items()
    spaces = {kernel.namespace(items[name]["pid"], kind) for name in ("host", "look")}
    assert len(spaces | {kernel.namespace(os.getpid(), kind)}) == 3


def test_the_host_network_is_shared_only_if_asked_for(shared: Instance) -> None:
    own = kernel.namespace(os.getpid(), "net")
    assert kernel.namespace(shared.pid("hostnet"), "net") == own


def test_the_default_is_nobody_without_any_privilege(shared: Instance) -> None:
    status = kernel.proc_status(shared.pid("host"))
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert status["Groups"] == ""
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0


def test_only_the_named_capability_is_kept(shared: Instance) -> None:
    status = kernel.proc_status(shared.pid("tuned"))
    assert int(status["CapBnd"], 16) == 1 << 10
    assert status["Seccomp"] == "0"


def test_a_user_by_name_is_looked_up_in_the_rootfs(seen: list[str]) -> None:
    assert any(line.startswith("id 4242:4343 groups") and "4444" in line for line in seen)


def test_a_user_by_number_and_the_oom_score_are_set(shared: Instance) -> None:
    pid = shared.pid("hostnet")
    assert kernel.proc_status(pid)["Uid"].split()[0] == "12"
    assert kernel.proc_status(pid)["Gid"].split()[0] == "34"
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"


def test_rlimits_and_cpus_are_those_of_the_spec(shared: Instance) -> None:
    pid = shared.pid("tuned")
    assert kernel.soft_and_hard(pid, "Max open files") == ["111", "222"]
    assert kernel.soft_and_hard(pid, "Max core file size") == ["0", "0"]
    assert kernel.cpuset_cpus(pid) == "0"


@pytest.mark.parametrize(
    "line",
    [
        "host inner.example",
        "self 1",
        "net lo",
        "root read-only",
        "bind read-only",
        "hello from the host",
        "tmpfs writable",
        "cannot mount",
        "null works",
        "kcore hidden",
        "no sysctl",
    ],
)
def test_from_inside_the_container_is_as_its_file_says(seen: list[str], line: str) -> None:
    assert line in seen


def test_loopback_is_up(shared: Instance) -> None:
    routes = Path(f"/proc/{shared.pid('look')}/net/if_inet6")
    local = Path(f"/proc/{shared.pid('look')}/net/fib_trie")
    assert "127.0.0.1" in local.read_text() or "lo" in routes.read_text()


def test_the_size_of_a_tmpfs_is_limited(shared: Instance) -> None:
    mounts = Path(f"/proc/{shared.pid('look')}/mounts").read_text().splitlines()
    [scratch] = [line for line in mounts if line.split()[1] == "/scratch"]
    assert "size=1024k" in scratch


def test_the_host_is_not_in_sight(shared: Instance) -> None:
    mounts = Path(f"/proc/{shared.pid('look')}/mounts").read_text()
    assert "/old" not in mounts
    assert not Path(f"/proc/{shared.pid('look')}/root/usr").exists()


def test_no_descriptor_is_handed_in(shared: Instance) -> None:
    assert sorted(os.listdir(f"/proc/{shared.pid('host')}/fd")) == ["0", "1", "2"]


def test_an_overlay_keeps_writes_away_from_the_rootfs(shared: Instance, busybox: Path) -> None:
    layered = Path(f"/proc/{shared.pid('layered')}/root/etc/own")
    wait_until(layered.exists, "it writes its file")
    assert layered.read_text() == "mine\n"
    assert not (busybox / "etc/own").exists()


def test_a_container_cannot_reach_or_signal_what_is_outside(shared: Instance) -> None:
    listing = os.listdir(f"/proc/{shared.pid('look')}/root/proc")
    assert not [entry for entry in listing if entry == str(os.getpid())]


def test_a_looked_at_instance_is_converged(shared: Instance) -> None:
    assert shared.is_converged()
