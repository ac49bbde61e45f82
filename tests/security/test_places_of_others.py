"""Other users of the host: what they prepare, read or write, and what a terminal is sent."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.errors import ErrorCode
from reconciler.model.config import Rootfs
from tests.integration.conftest import in_root

pytestmark = pytest.mark.requires_root

OTHER = 12345
SECRET = "hunter2-of-the-test"


@pytest.fixture
def shared() -> Iterator[Path]:
    """Give a directory in which everyone can make files, as /tmp."""
    with tempfile.TemporaryDirectory(prefix="rc-shared-") as name:
        os.chmod(name, 0o1777)
        yield Path(name)


def as_other(*command: str) -> None:
    subprocess.run(
        ["setpriv", "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups", *command],
        check=True,
    )


def refused(run_dir: Path, state_dir: Path) -> str:
    with pytest.raises(ReconcilerError) as caught:
        Engine(run_dir=str(run_dir), state_dir=str(state_dir))
    assert caught.value.code is ErrorCode.UnsafePath
    return caught.value.message


def test_a_directory_that_another_user_has_prepared_is_refused(shared: Path) -> None:
    """It could hold the record of a container with a command of that user's."""
    as_other("mkdir", str(shared / "run"))
    assert f"belongs to uid {OTHER}" in refused(shared / "run", shared / "state")
    assert "belongs to uid" in refused(shared / "run/below/it", shared / "state")
    assert "belongs to uid" in refused(shared / "mine", shared / "run")


def test_a_link_that_another_user_has_put_there_is_refused(shared: Path, tmp_path: Path) -> None:
    as_other("ln", "-s", str(tmp_path), str(shared / "run"))
    assert "belongs to uid" in refused(shared / "run", tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_everyone_can_write_to_is_refused(shared: Path) -> None:
    assert "chmod o-w" in refused(shared, shared / "state")
    own = shared / "own"
    own.mkdir()
    own.chmod(0o777)
    assert "chmod o-w" in refused(own, shared / "state")
    assert "chmod o-w" in refused(own / "run", shared / "state")


def test_a_directory_of_ones_own_in_one_that_is_shared_is_taken(shared: Path) -> None:
    Engine(run_dir=str(shared / "run"), state_dir=str(shared / "state"))
    (shared / "link").symlink_to(shared / "run")
    Engine(run_dir=str(shared / "link"), state_dir=str(shared / "state"))


def test_secrets_are_in_no_file_that_others_can_read(engine: Engine, rootfs: Path) -> None:
    """The environment and the arguments of a container, and what it writes."""
    script = f"echo {SECRET}; exec sleep 1000"
    container = engine.create("one", in_root(rootfs, script, env={"PASSWORD": SECRET}))
    container.start()
    found = 0
    for top in (engine.run_dir, engine.state_dir):
        for directory, _, names in os.walk(top):
            for name in names:
                path = Path(directory, name)
                if path.is_file() and SECRET in path.read_text(errors="replace"):
                    found += 1
                    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
                    reading = ["setpriv", "--reuid", str(OTHER), "--clear-groups", "cat", str(path)]
                    assert subprocess.run(reading, capture_output=True, check=False).returncode != 0
    assert found > 0


def test_a_program_left_in_a_writable_layer_is_out_of_reach(engine: Engine, rootfs: Path) -> None:
    """CVE-2021-41091: set-user-ID root, by root inside, for a user of the host."""
    script = "cp /bin/busybox /tmp/busybox && chmod 4755 /tmp/busybox"
    layered = Rootfs(path=str(rootfs), readonly=False, overlay=True)
    assert engine.create("one", in_root(rootfs, script, rootfs=layered)).start().wait(30)
    program = Path(engine.state_dir, "overlay/one/upper/tmp/busybox")
    assert program.stat().st_mode & stat.S_ISUID
    ids = ["setpriv", "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups"]
    as_user = [*ids, "sh", "-c", 'exec "$0" id']
    assert subprocess.run([*as_user, str(program)], capture_output=True, check=False).returncode
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        copy = Path(open_to_all, "busybox")
        copy.write_bytes(program.read_bytes())
        copy.chmod(0o4755)
        subprocess.run([*as_user, str(copy)], capture_output=True, check=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


@pytest.fixture
def reconciler(engine: Engine) -> list[str]:
    places = ["--run-dir", engine.run_dir, "--state-dir", engine.state_dir]
    return [sys.executable, "-m", "reconciler", *places]


def on_terminal(*command: str) -> bytes:
    """Run a command on a terminal; return all that it sends to it."""
    master, slave = pty.openpty()
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                said += os.read(master, 65536)
            except OSError:  # EIO: all who had it open have ended
                break
        process.wait()
    os.close(master)
    return said


ESCAPES = "\\033]0;title\\007\\033[6n\\033[2J\\r"


def test_what_a_container_says_is_shown_to_a_terminal_not_obeyed(
    engine: Engine, reconciler: list[str], source: Path
) -> None:
    """Window titles, reports that are typed as answers, lines that are overwritten."""
    text = f"printf '{ESCAPES}\\033[31mred\\033[0m\\n'; exit 3"
    rows = ["command:", "  - /bin/sh", "  - -c", "  - |", f"    {text}", "restart: {policy: never}"]
    (source / "one.yaml").write_text("\n".join(rows) + "\n")
    (source / "two.yaml").write_text('command: ["/bin/no\\e]0;title\\athere\\e[2J"]\n')
    shown = on_terminal(*reconciler, "apply", str(source))
    assert engine.load("one").wait(30) is not None
    for verb in ("logs one", "why one", "why two", "show two", "status", "plan", "events", "drift"):
        sources = [str(source)] if verb in ("plan", "drift", "status") else []
        shown += on_terminal(*reconciler, *verb.split(), *sources)
    for escape in (b"\x1b]", b"\x07", b"\x1b[6n", b"\x1b[2J", b"\rred"):
        assert escape not in shown, shown
    assert b"\\x1b]0;title\\x07" in shown
    assert b"\x1b[31mred\x1b[0m" in shown
    raw = subprocess.run([*reconciler, "logs", "one"], capture_output=True, check=True).stdout
    assert b"\x1b]0;title\x07" in raw  # the probe, and what a program that reads it gets


def test_a_spec_that_everyone_can_write_to_is_warned_of(
    reconciler: list[str], source: Path
) -> None:
    spec = source / "one.yaml"
    spec.write_text("command: [/bin/true]\nstate: stopped\n")
    command = [*reconciler, "validate", str(source)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
    spec.chmod(0o666)
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert f"chmod o-w {spec}" in told
    spec.chmod(0o644)
    source.chmod(0o1777)
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert f"chmod o-w {source}" in told


def test_a_document_that_grows_when_it_is_read_is_refused(
    reconciler: list[str], source: Path
) -> None:
    """Billion laughs: aliases of aliases."""
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for number in range(1, 12):
        before, own = chr(96 + number), chr(97 + number)
        rows.append(f"{own}: &{own} [{', '.join([f'*{before}'] * 9)}]")
    (source / "one.yaml").write_text("\n".join(rows))
    command = [*reconciler, "validate", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert len(done.stdout) < 10_000
