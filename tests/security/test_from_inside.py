"""What a container could do to its host and to its neighbours, tried from the inside.

Each attempt is made by an unprotected process too, where it succeeds.
"""

from __future__ import annotations

import encodings
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler import Command, Config, Engine, ReconcilerError
from reconciler.engine.container import Container
from reconciler.errors import ErrorCode
from reconciler.model.config import Mount, MountType, NetworkMode, Rootfs, SeccompMode, Security
from reconciler.model.isolation import Namespaces
from tests.integration.conftest import in_root, output, run, shell
from tests.integration.listed import listed
from tests.integration.oci.conftest import Oci, make_spec
from tests.integration.test_exec import run_in
from tests.security.racing import mount_rows

pytestmark = pytest.mark.requires_root

PYTHON = "/usr/bin/python3"
ROOT = Security(seccomp=SeccompMode.UNCONFINED, no_new_privileges=False)

# Opening for appending, without a write, does no harm where it succeeds.
KERNEL_FILES = (
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/drop_caches",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)
OPEN_THEM = f"for f in {' '.join(KERNEL_FILES)}; do (: >> $f) 2>/dev/null && echo $f; done; true"
WriteSpec = Callable[[dict[str, Any]], None]


def unprotected(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def test_files_that_rule_the_kernel_cannot_be_written(engine: Engine, rootfs: Path) -> None:
    """CVE-2014-9357's and CVE-2015-3630's effect; core_pattern and sysrq-trigger."""
    present = [path for path in KERNEL_FILES if os.path.exists(path)]
    assert unprotected("sh", "-c", OPEN_THEM).split() == present
    as_root = {"user": "0:0", "security": ROOT}
    assert run(engine, in_root(rootfs, OPEN_THEM, **as_root), "one")[1] == []
    assert run(engine, shell(OPEN_THEM, **as_root), "two")[1] == []


def test_the_default_config_of_the_command_line_protects_them_too(
    oci: Oci, write_spec: WriteSpec
) -> None:
    oci.ok("spec")
    spec = json.loads((oci.bundle / "config.json").read_text())
    spec["process"] |= {"args": ["/bin/sh", "-c", OPEN_THEM], "terminal": False}
    spec["root"]["readonly"] = False
    write_spec(spec)
    assert oci.ok("run", oci.id()) == ""


RELEASE_AGENT = (
    "mkdir -p /tmp/c && mount -t cgroup -o pids none /tmp/c && (: >> /tmp/c/release_agent) "
    "&& echo escaped && umount /tmp/c"
)


def test_no_cgroup_can_be_mounted_for_its_release_agent(engine: Engine, rootfs: Path) -> None:
    """CVE-2022-0492: as root, and in namespaces of its own making."""
    if "pids" in Path("/proc/self/cgroup").read_text():
        script = f"mount -t tmpfs none /tmp && {RELEASE_AGENT}"
        assert unprotected("unshare", "-m", "sh", "-c", script) == "escaped\n"
    nested = f"unshare -UrmC sh -c '{RELEASE_AGENT}'"
    assert unprotected("unshare", "-Urm", "echo", "inner") == "inner\n"
    writable = Rootfs(path=str(rootfs), readonly=False)
    script = f"{RELEASE_AGENT}; {nested}; unshare -Ur echo inner; true"
    assert run(engine, in_root(rootfs, script, rootfs=writable))[1] == []


def test_its_own_cgroup_is_all_that_it_sees_of_them_and_read_only(
    engine: Engine, oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """CVE-2023-25809 and the way out by the root of a cgroup namespace."""
    script = (
        "cut -d: -f3 /proc/self/cgroup /proc/1/cgroup; "
        "find /sys/fs/cgroup -name 'cgroup.procs' | "
        "while read f; do (echo 0 >> $f) 2>/dev/null && echo moved $f; done; true"
    )
    assert set(run(engine, in_root(rootfs, script, user="0:0", security=ROOT))[1]) == {"/"}
    spec = make_spec("/bin/sh", "-c", script)
    spec["mounts"] += [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ]
    write_spec(spec)
    assert set(oci.ok("run", oci.id()).split()) == {"/"}


def test_no_mount_of_the_host_is_in_sight(engine: Engine, rootfs: Path) -> None:
    _, rows = run(engine, in_root(rootfs, "cat /proc/self/mountinfo"))
    mounts = mount_rows("\n".join(rows))
    assert [row.root for row in mounts if row.point == "/"] == [str(rootfs)]
    others = {row.fs_type for row in mounts if row.point != "/"}
    assert others <= {"proc", "tmpfs", "devpts", "mqueue", "sysfs", "cgroup2"}
    assert len(mount_rows(Path("/proc/self/mountinfo").read_text())) > 1


READ_OTHERS = (
    "for p in {pids}; do for f in environ maps mem root/etc fd/0; do "
    "(ls -L /proc/$p/$f && head -c1 /proc/$p/$f) >/dev/null 2>&1 && echo $p/$f; done; done; true"
)


def monitor_of(container: Container) -> int:
    init = container.record.init
    assert init is not None
    with open(f"/proc/{init.pid}/status", encoding="ascii") as status:
        return int(next(line.split()[1] for line in status if line.startswith("PPid")))


def test_the_monitor_cannot_be_looked_into_from_its_own_pid_namespace(
    engine: Engine, rootfs: Path
) -> None:
    """ptrace's rights: by root with the host's processes in sight."""
    quarry = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "sleep", "1000"]
    first = engine.create("first", in_root(rootfs, "exec sleep 1000"))
    first.start()
    monitor = monitor_of(first)
    with subprocess.Popen(quarry) as plain:
        while Path(f"/proc/{plain.pid}/comm").read_text() != "sleep\n":
            pass
        script = READ_OTHERS.format(pids=f"{monitor} {plain.pid}")
        config = listed(rootfs, script, namespaces=Namespaces(pid="host"))
        _, rows = run(engine, config, "second")
        plain.kill()
    assert {row.partition("/")[0] for row in rows} == {str(plain.pid)}
    assert f"{plain.pid}/environ" in rows


def test_a_signal_to_all_reaches_nobody_outside(engine: Engine, rootfs: Path) -> None:
    other = engine.create("other", in_root(rootfs, "exec sleep 1000"))
    other.start()
    monitor = monitor_of(other)
    script = f"kill -9 -1; kill -9 0; kill -9 {monitor}; echo on"
    container = engine.create("one", in_root(rootfs, f"sh -c '{script}' ; sh -c 'kill -9 -1'"))
    assert container.start().wait(30) is not None
    assert other.status().value == "running"
    assert monitor_of(other) == monitor


INJECT = """
import fcntl, termios
try:
    fcntl.ioctl(0, termios.TIOCSTI, b"x")
    print("injected")
except OSError:
    pass
"""


def test_nothing_can_be_typed_into_the_terminal_of_who_called(engine: Engine) -> None:
    """TIOCSTI on a terminal that was handed in as standard input."""
    master, slave = pty.openpty()
    container = engine.create("c1", shell("exec sleep 1000", user="0:0", security=ROOT))
    container.start()
    reading, writing = os.pipe()
    command = Command(argv=(PYTHON, "-c", INJECT), user="0:0")
    with container.execute(command, [slave, writing, writing]) as session:
        session.wait()
    os.close(writing)
    assert os.read(reading, 100) == b""
    plain = subprocess.run([PYTHON, "-c", INJECT], stdin=slave, capture_output=True, check=True)
    assert plain.stdout == b"injected\n"
    for fd in (master, slave, reading):
        os.close(fd)


KEYS = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
session = libc.syscall(250, 0, -3, 0)  # KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING
found = libc.syscall(250, 10, -3, b"user", b"reconciler-test", 0)  # KEYCTL_SEARCH
print(session, found > 0)
"""
ADD_KEY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(250, 1, None) > 0  # KEYCTL_JOIN_SESSION_KEYRING
assert libc.syscall(248, b"user", b"reconciler-test", b"secret", 6, -3) > 0  # add_key
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="has system call numbers of x86-64")
def test_no_key_of_the_caller_is_in_its_session_keyring(engine: Engine, tmp_path: Path) -> None:
    """A key that whoever starts the container has, is looked for from the inside."""
    start = (
        f"{ADD_KEY}\nexec({KEYS!r})\n"
        "from reconciler import Config, Engine\n"
        "from reconciler.model.config import SeccompMode, Security\n"
        f"engine = Engine(run_dir={engine.run_dir!r}, state_dir={engine.state_dir!r})\n"
        "for name, mode in (('open', 'unconfined'), ('filtered', 'default')):\n"
        "    security = Security(seccomp=SeccompMode(mode), no_new_privileges=False)\n"
        f"    command = ({PYTHON!r}, '-c', {KEYS!r})\n"
        "    config = Config(command=command, user='0:0', security=security)\n"
        "    engine.create(name, config).start().wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    session, found = done.stdout.split()
    assert found == "True"
    inner, inner_found = output(engine, "open")[0].split()
    assert inner != session
    assert inner_found == "False"
    assert output(engine, "filtered") == ["-1 False"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="has system call numbers of x86-64")
def test_its_session_keyring_cannot_have_been_made_by_another(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """By its name, which of runc's is `_ses.ID`: whoever makes one first shares what it keeps."""
    plant = (
        "import ctypes; libc = ctypes.CDLL(None); libc.syscall.restype = ctypes.c_long\n"
        f"ring = libc.syscall(250, 1, b'_ses.{oci.id()}')\n"
        "key = libc.syscall(248, b'user', b'reconciler-test', b'secret', 6, -3)\n"
        "for one in (ring, key): libc.syscall(250, 5, one, 0x3f3f3f3f)\n"  # KEYCTL_SETPERM
        f"def find(): exec({KEYS!r})\n"
    )
    spec = make_spec(PYTHON, "-c", KEYS)
    for name in ("usr", "lib", "lib64"):
        (rootfs / name).mkdir()
        mount = {"destination": f"/{name}", "type": "bind", "source": f"/{name}"}
        spec["mounts"].append(mount | {"options": ["rbind", "ro"]})
    write_spec(spec)
    argv = [PYTHON, "-c", f"{plant}find()\nprint(flush=True)\ninput()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        ring, found = other.stdout.readline().split()
        assert found == "True"
        inner, inner_found = oci.ok("run", oci.id()).split()
        again = [PYTHON, "-c", f"{plant}find()"]
        joined = subprocess.run(again, capture_output=True, text=True, check=True)
        other.communicate("\n")
    assert joined.stdout.split() == [ring, "True"]  # a named one is had by all
    assert inner != ring
    assert inner_found == "False"


def test_the_runtime_has_no_socket_that_the_hosts_network_would_show(
    engine: Engine, rootfs: Path
) -> None:
    """CVE-2020-15257: abstract sockets belong to the network namespace, not to a directory."""
    container = engine.create("one", in_root(rootfs, "exec sleep 1000"))
    container.start()
    fds = f"/proc/{monitor_of(container)}/fd"
    links = [os.readlink(f"{fds}/{name}") for name in os.listdir(fds)]
    inodes = {link[8:-1] for link in links if link.startswith("socket:")}
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    ours = [row for row in rows if row[6] in inodes]
    assert ours
    assert not [row for row in ours if len(row) > 7 and row[7].startswith("@")]
    path = Path(engine.run_dir, "monitor.sock")
    assert path.is_socket()
    script = f"ls {path}; ls {engine.run_dir}; ls {engine.state_dir}"
    config = shell(script, user="0:0", network=NetworkMode.HOST, security=ROOT)
    assert run(engine, config, "two")[1] == []


def test_no_code_of_the_image_is_loaded_by_what_sets_it_up(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    """CVE-2019-14271: the image has modules and libraries where the runtime's own are."""
    trap = "import posix\nopen(posix.environ.get(b'TRAP', b'/tmp/loaded'), 'a').write(__name__)\n"
    for place in {path for path in sys.path if os.path.isdir(path)}:
        fake = Path(f"{rootfs}{place}")
        fake.mkdir(parents=True, exist_ok=True)
        for name in sys.stdlib_module_names:
            (fake / f"{name}.py").write_text(trap)
    ours = Path(reconciler.__file__).parent
    for module in (*ours.rglob("*.py"), *Path(encodings.__file__).parent.glob("*.py")):
        copy = Path(f"{rootfs}{module}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(trap)
    program = f"import sys; sys.path.insert(0, {str(fake)!r}); import colorsys"
    caught = tmp_path / "caught"
    subprocess.run([PYTHON, "-c", program], env={"TRAP": str(caught)}, check=True)
    assert caught.read_text() == "colorsys"
    (rootfs / "etc/nsswitch.conf").write_text("passwd: trap\n")
    (rootfs / "etc/ld.so.preload").write_text("/tmp/trap.so\n")
    fields: dict[str, Any] = {"rootfs": Rootfs(path=str(rootfs), readonly=False), "user": "web"}
    container = engine.create("one", in_root(rootfs, "exec sleep 1000", **fields))
    container.start()
    assert run_in(container, "id -u", user="web")[1] == "1500\n"
    missing = Config(command=("/no/such",), **fields)
    with pytest.raises(Exception, match="/no/such"):
        engine.create("two", missing).start()
    assert not (rootfs / "tmp/loaded").exists()


def test_a_link_left_in_a_kept_layer_does_not_move_a_mount_to_the_host(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    """CVE-2015-3629: the second start mounts where the first has left a link."""
    outside, volume = tmp_path / "outside", tmp_path / "volume"
    outside.mkdir()
    volume.mkdir()
    (rootfs / "data").mkdir()
    link = f"umount /data; mv /data /old; ln -s ../../../../../..{outside} /data"
    layered = Rootfs(path=str(rootfs), readonly=False, overlay=True)
    container = engine.create("one", in_root(rootfs, f"{link}; ls -ld /data", rootfs=layered))
    container.start().wait(30)
    mount = Mount(type=MountType.BIND, source=str(volume), target="/data/in")
    config = in_root(rootfs, "touch /data/in/seen", rootfs=layered, mounts=(mount,))
    container.reconfigure(config)
    container.start().wait(30)
    assert list(outside.iterdir()) == []
    assert (volume / "seen").exists()


def test_long_lists_and_texts_do_not_overflow_into_other_settings(
    oci: Oci, write_spec: WriteSpec, rootfs: Path
) -> None:
    """CVE-2021-43784: a length of 16 bits let what follows be chosen by the image."""
    script = "wc -c < /proc/self/environ; grep -c /many/ /proc/self/mountinfo; id -u"
    spec = make_spec("/bin/sh", "-c", script)
    spec["process"]["env"] += [f"LONG{number}={'x' * 100_000}" for number in range(3)]
    spec["process"]["user"] = {"uid": 1500, "gid": 1600}
    spec["mounts"] += [
        {"destination": f"/many/{'d' * 200}{number}", "type": "bind", "source": "/bin"}
        for number in range(400)
    ]
    write_spec(spec)
    length, mounts, uid = oci.ok("run", oci.id()).split()
    assert int(length) > 300_000
    assert (mounts, uid) == ("400", "1500")


def test_a_table_of_users_that_is_a_device_is_not_opened(engine: Engine, rootfs: Path) -> None:
    """It would be opened by the host's root: a watchdog starts, a tape rewinds, a FIFO waits."""
    container = engine.create("one", in_root(rootfs, "exec sleep 1000"))
    container.start()
    (rootfs / "etc/passwd").unlink()
    os.mkfifo(rootfs / "etc/passwd")
    with os.fdopen(os.open(rootfs / "etc/passwd", os.O_RDWR), "r+b", buffering=0) as fifo:
        fifo.write(b"web:x:0:0::/:/bin/sh\n")  # what an open of it would read
        with pytest.raises(ReconcilerError) as caught:
            run_in(container, "id", user="web")
    assert caught.value.code is ErrorCode.UserNotFound


def test_a_further_process_has_the_containers_score(engine: Engine, rootfs: Path) -> None:
    """What labels it would be written at the same point: before anything inside is in sight."""
    container = engine.create("one", in_root(rootfs, "exec sleep 1000", oom_score_adj=700))
    container.start()
    assert run_in(container, "cat /proc/self/oom_score_adj")[1] == "700\n"
