"""What a container sees and may do, asked from the inside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.model.config import (
    Config,
    Mount,
    MountType,
    NetworkMode,
    Rlimit,
    Rootfs,
    SeccompMode,
    Security,
)
from tests.integration.conftest import in_root, output, run, shell

pytestmark = pytest.mark.requires_root


def status_field(rows: list[str], name: str) -> str:
    return next(row.split(":")[1].strip() for row in rows if row.startswith(name + ":"))


def test_it_is_pid_1_with_private_namespaces(engine: Engine) -> None:
    kinds = ("pid", "mnt", "uts", "ipc", "net", "cgroup")
    script = "echo $$; for n in pid mnt uts ipc net cgroup user; do readlink /proc/self/ns/$n; done"
    _, rows = run(engine, shell(script))
    assert rows[0] == "1"
    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert len(rows) == len(kinds) + 2
    assert not set(rows) & set(host)


def test_the_default_user_on_the_host_root_is_nobody_without_any_capability(engine: Engine) -> None:
    _, rows = run(engine, shell("id -u; id -g; cat /proc/self/status; cat /etc/shadow"))
    assert rows[:2] == ["65534", "65534"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status_field(rows, name), 16) == 0
    assert status_field(rows, "NoNewPrivs") == "1"
    assert status_field(rows, "Seccomp") == "2"
    assert any("Permission denied" in row for row in output(engine, "c1", "stderr"))


def test_the_host_root_is_read_only_but_for_private_temporary_directories(engine: Engine) -> None:
    script = "for d in / /etc /usr /var; do touch $d/x 2>/dev/null && echo wrote $d; done; "
    script += "touch /tmp/x /var/tmp/x && ls /tmp /run; id -u"
    _, rows = run(engine, shell(script, user="0:0"))
    assert rows == ["/run:", "", "/tmp:", "x", "0"]


def test_run_and_state_directories_are_hidden(engine: Engine) -> None:
    _, rows = run(
        engine, shell(f"ls {engine.run_dir} {engine.state_dir} 2>/dev/null; echo end", user="0")
    )
    assert [row for row in rows if "monitor" in row or "logs" in row] == []


def test_no_mount_of_the_host_is_left_under_the_containers_own(
    engine: Engine, rootfs: Path
) -> None:
    _, rows = run(engine, in_root(rootfs, "cat /proc/self/mountinfo"))
    points = [row.split()[4] for row in rows]
    assert len(points) == len(set(points))
    assert all(point == "/" or point.startswith(("/proc", "/sys", "/dev")) for point in points)
    assert points[0] == "/"


def test_no_descriptor_and_no_environment_leak_in(engine: Engine, rootfs: Path) -> None:
    os.environ["RECONCILER_TEST_SECRET"] = "leak"
    try:
        _, rows = run(engine, in_root(rootfs, "ls /proc/self/fd; env | sort", env={"A": "b c"}))
    finally:
        del os.environ["RECONCILER_TEST_SECRET"]
    assert rows[:3] == ["0", "1", "2"]
    names = {row.split("=")[0] for row in rows if "=" in row}
    assert names <= {"A", "PATH", "HOME", "HOSTNAME", "PWD", "SHLVL"}
    assert "A=b c" in rows


def test_the_network_is_loopback_alone_and_up(engine: Engine, rootfs: Path) -> None:
    _, rows = run(engine, in_root(rootfs, "ls /sys/class/net; ip addr show lo"))
    assert rows[0] == "lo"
    assert any("127.0.0.1/8" in row for row in rows)


def test_network_host_shares_the_hosts_namespace(engine: Engine) -> None:
    _, rows = run(engine, shell("readlink /proc/self/ns/net", network=NetworkMode.HOST))
    assert rows == [os.readlink("/proc/self/ns/net")]


def test_the_hostname_is_the_name_or_what_is_asked_for(engine: Engine, rootfs: Path) -> None:
    host = os.uname().nodename
    _, rows = run(engine, in_root(rootfs, "hostname"), "first")
    assert rows == ["first"]
    _, rows = run(engine, in_root(rootfs, "hostname; echo $HOSTNAME", hostname="other"), "second")
    assert rows == ["other", "other"]
    assert os.uname().nodename == host


def test_users_are_looked_up_in_the_containers_own_files(engine: Engine, rootfs: Path) -> None:
    _, rows = run(engine, in_root(rootfs, "id; echo $HOME", user="web"), "named")
    assert rows == ["uid=1500(web) gid=1600(web) groups=1600(web),1700(media)", "/srv"]
    config = in_root(rootfs, "id -u; id -g; id -G", user="web:media", groups=("12", "web"))
    _, rows = run(engine, config, "mixed")
    assert rows[:2] == ["1500", "1700"]
    assert set(rows[2].split()) == {"1700", "12", "1600"}
    _, rows = run(engine, in_root(rootfs, "id -u; id -g", user="4321"), "number")
    assert rows == ["4321", "4321"]


def test_a_passwd_symlink_does_not_lead_to_the_hosts(engine: Engine, rootfs: Path) -> None:
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to("/../../../../etc/hosts-passwd")
    (rootfs / "etc/hosts-passwd").write_text("inner:x:77:78::/:/bin/sh\n")
    _, rows = run(engine, in_root(rootfs, "echo x", user="inner"), "link")
    assert rows == ["x"]


def test_capabilities_are_exactly_the_ones_given(engine: Engine, rootfs: Path) -> None:
    security = Security(capabilities=("KILL", "NET_BIND_SERVICE"))
    mask = 1 << 5 | 1 << 10
    _, rows = run(engine, in_root(rootfs, "cat /proc/self/status", security=security), "root")
    sets = [
        int(status_field(rows, name), 16)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ]
    assert sets == [0, mask, mask, mask, 0]
    config = in_root(rootfs, "cat /proc/self/status", security=security, user="web")
    _, rows = run(engine, config, "user")
    sets = [
        int(status_field(rows, name), 16)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ]
    assert sets == [mask] * 5


def test_without_no_new_privs_the_filter_is_still_there(engine: Engine, rootfs: Path) -> None:
    security = Security(no_new_privileges=False)
    config = in_root(rootfs, "cat /proc/self/status", security=security, user="web")
    _, rows = run(engine, config)
    assert status_field(rows, "NoNewPrivs") == "0"
    assert status_field(rows, "Seccomp") == "2"
    assert int(status_field(rows, "CapEff"), 16) == 0


def test_seccomp_can_be_switched_off(engine: Engine, rootfs: Path) -> None:
    config = in_root(
        rootfs, "cat /proc/self/status", security=Security(seccomp=SeccompMode.UNCONFINED)
    )
    _, rows = run(engine, config)
    assert status_field(rows, "Seccomp") == "0"


def test_the_default_filter_forbids_new_user_namespaces_and_mounts(engine: Engine) -> None:
    code = "import ctypes,os;l=ctypes.CDLL(None,use_errno=True);"
    code += "print(l.unshare(0x10000000),ctypes.get_errno());"
    code += "print(l.mount(b'a',b'/tmp',b'tmpfs',0,None),ctypes.get_errno())"
    _, rows = run(engine, Config(command=("/usr/bin/python3", "-c", code)))
    assert rows == ["-1 1", "-1 1"]


def test_rlimits_and_oom_score_are_set(engine: Engine, rootfs: Path) -> None:
    config = in_root(
        rootfs,
        "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj",
        rlimits=(Rlimit(type="NOFILE", soft=100, hard=200),),
        oom_score_adj=500,
    )
    _, rows = run(engine, config)
    assert rows == ["100", "200", "500"]


def test_dev_has_the_six_nodes_and_links_and_nothing_else(engine: Engine, rootfs: Path) -> None:
    _, rows = run(
        engine, in_root(rootfs, "ls /dev; echo x > /dev/null; head -c 4 /dev/zero | wc -c")
    )
    names = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert rows == [*names.split(), "4"]


def test_device_nodes_in_the_root_file_system_are_dead(engine: Engine, rootfs: Path) -> None:
    os.mknod(rootfs / "evil", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (rootfs / "evil").chmod(0o666)
    _, rows = run(engine, in_root(rootfs, "head -c 1 /evil 2>&1"))
    assert rows == ["head: /evil: Permission denied"]


def test_kernel_internals_are_masked_or_read_only(engine: Engine, rootfs: Path) -> None:
    script = "cat /proc/kcore /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; "
    script += "echo 1 > /proc/sys/kernel/sysrq || echo ro; echo h > /proc/sysrq-trigger || echo ro"
    _, rows = run(engine, in_root(rootfs, script))
    assert rows == ["0", "0", "ro", "ro"]


def test_stdout_can_be_reopened_by_any_user(engine: Engine, rootfs: Path) -> None:
    _, rows = run(
        engine, in_root(rootfs, "echo a > /dev/stdout; echo b > /proc/self/fd/1", user="web")
    )
    assert rows == ["a", "b"]


def test_bind_and_tmpfs_mounts(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    source = tmp_path / "html"
    source.mkdir()
    (source / "index").write_text("hello\n")
    source.chmod(0o777)
    single = tmp_path / "one.conf"
    single.write_text("conf\n")
    mounts = (
        Mount(type=MountType.BIND, source=str(source), target="/www", options=("ro",)),
        Mount(type=MountType.BIND, source=str(source), target="/rw"),
        Mount(type=MountType.BIND, source=str(single), target="/etc/one.conf", options=("ro",)),
        Mount(type=MountType.TMPFS, target="/scratch", size_bytes=2**16, mode="700"),
    )
    script = "cat /www/index /etc/one.conf; touch /www/x || echo ro; touch /rw/made; "
    script += "head -c 100000 /dev/zero > /scratch/big || echo full; stat -c %a /scratch; "
    script += "touch /x || echo ro"
    _, rows = run(engine, in_root(rootfs, script, mounts=mounts))
    assert rows == ["hello", "conf", "ro", "full", "700", "ro"]
    assert (source / "made").exists()


def test_a_symlink_as_mount_target_stays_inside(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "www").symlink_to(outside)
    source = tmp_path / "html"
    source.mkdir()
    mount = Mount(type=MountType.BIND, source=str(source), target="/www/deep")
    writable = Rootfs(path=str(rootfs), readonly=False)
    run(engine, in_root(rootfs, "true", mounts=(mount,), rootfs=writable))
    assert list(outside.iterdir()) == []


def test_a_writable_root_keeps_what_is_written(engine: Engine, rootfs: Path) -> None:
    writable = Rootfs(path=str(rootfs), readonly=False)
    run(engine, in_root(rootfs, "echo kept > /srv/file", rootfs=writable))
    assert (rootfs / "srv/file").read_text() == "kept\n"


def test_an_overlay_keeps_changes_for_the_container_alone(engine: Engine, rootfs: Path) -> None:
    config = in_root(
        rootfs,
        "cat /srv/file 2>/dev/null || echo none; echo mine > /srv/file",
        rootfs=Rootfs(path=str(rootfs), readonly=False, overlay=True),
    )
    container, rows = run(engine, config)
    assert rows == ["none"]
    container.start().wait(30)
    assert output(engine, "c1") == ["none", "mine"]
    assert not (rootfs / "srv/file").exists()
    container.destroy()
    assert not os.path.exists(os.path.join(engine.state_dir, "overlay/c1"))
