"""Protection that is taken away inside a container: seen, named, and mended while it runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from tests.integration.test_interference import Case, unmount
from tests.integration.test_interference_isolation import make  # noqa: F401  (a fixture)

pytestmark = pytest.mark.requires_root

Make = Callable[[str], Case]
PLAIN = "command: [/bin/sleep, '1000']\nrestart: {backoff: {initial: 0s}}\n"


def inside(case: Case, *words: str) -> None:
    """Run a program among the container's mounts, as an administrator would."""
    command = ["nsenter", "--target", str(case.init.pid), "--mount", *words]
    subprocess.run(command, check=True, capture_output=True)


def is_written(case: Case, path: str) -> bool:
    """Tell whether root of the host could write a file there, or rather create one."""
    command = ["nsenter", "--target", str(case.init.pid), "--mount", "touch", f"{path}/written"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("path", ["/proc/interrupts", "/sys/firmware"])
def test_a_hidden_path_that_was_uncovered_is_hidden_again(make: Make, path: str) -> None:  # noqa: F811
    case = make(PLAIN)
    init = case.init
    unmount(case, path)
    told = f"maskedPaths.{path} visible -> masked"
    assert case.drift() == [(told, "enforce")]
    assert case.mend() == [f"update web: {told}"]
    assert case.drift() == []
    assert case.init == init
    shown = Path(f"/proc/{init.pid}/root{path}")
    assert list(shown.iterdir()) == [] if shown.is_dir() else shown.read_bytes() == b""


def test_a_path_of_the_kernels_that_was_made_writable_is_read_only_again(make: Make) -> None:  # noqa: F811
    case = make(PLAIN)
    inside(case, "mount", "-o", "remount,bind,rw", "/proc/sys")
    unmount(case, "/proc/irq")
    assert case.drift() == [
        ("readonlyPaths./proc/irq writable -> read-only", "enforce"),
        ("readonlyPaths./proc/sys writable -> read-only", "enforce"),
    ]
    (done,) = case.mend()
    assert done.startswith("update web: readonlyPaths./proc/irq writable -> read-only; ")
    with pytest.raises(OSError, match="Read-only file system"):
        Path(f"/proc/{case.init.pid}/root/proc/sys/kernel/domainname").write_text("x")


def test_something_mounted_over_what_hides_is_covered_in_turn(make: Make) -> None:  # noqa: F811
    case = make(PLAIN)
    inside(case, "mount", "-t", "proc", "proc", "/proc")
    assert ("maskedPaths./proc/interrupts visible -> masked", "enforce") in case.drift()
    assert case.mend()[0].startswith("update web: maskedPaths.")
    assert Path(f"/proc/{case.init.pid}/root/proc/interrupts").read_bytes() == b""


def test_the_hosts_root_that_was_made_writable_is_read_only_again(make: Make) -> None:  # noqa: F811
    case = make(PLAIN)
    inside(case, "mount", "-o", "remount,bind,rw", "/")
    assert case.drift() == [("rootfs.readonly false -> true", "enforce")]
    assert case.mend() == ["update web: rootfs.readonly false -> true"]
    inside(case, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    assert case.drift() == [("rootfs.readonly./mnt false -> true", "enforce")]
    assert case.mend() == ["update web: rootfs.readonly./mnt false -> true"]
    assert not is_written(case, "/mnt")


def test_a_volume_with_other_options_gets_its_own_again(make: Make, tmp_path: Path) -> None:  # noqa: F811
    data = tmp_path / "data"
    data.mkdir()
    case = make(
        f"{PLAIN}mounts:\n"
        f"  - {{type: bind, source: {data}, target: /srv, options: [ro]}}\n"
        "  - {type: tmpfs, target: /tmp/scratch, options: [noexec]}\n"
    )
    init = case.init
    inside(case, "mount", "-o", "remount,bind,rw,suid,nodev", "/srv")
    inside(case, "mount", "-o", "remount,bind,ro,nosuid,nodev,exec", "/tmp/scratch")
    assert is_written(case, "/srv")
    assert case.drift() == [
        ("mounts./srv suid,rw -> nosuid,ro", "enforce"),
        ("mounts./tmp/scratch ro,exec -> rw,noexec", "enforce"),
    ]
    assert case.mend()[0].startswith("update web: mounts./srv suid,rw -> nosuid,ro; ")
    assert (is_written(case, "/srv"), is_written(case, "/tmp/scratch")) == (False, True)
    assert (case.drift(), case.init) == ([], init)


def test_a_tmpfs_that_is_read_only_as_a_whole_is_had_anew(make: Make) -> None:  # noqa: F811
    case = make(f"{PLAIN}mounts:\n  - {{type: tmpfs, target: /tmp/scratch}}\n")
    inside(case, "mount", "-o", "remount,ro,nosuid,nodev", "/tmp/scratch")
    assert case.mend() == ["restart web: mounts./tmp/scratch ro -> rw"]
    assert is_written(case, "/tmp/scratch")


def test_the_same_in_a_user_namespace(make: Make) -> None:  # noqa: F811
    case = make(
        f"{PLAIN}namespaces: {{user: private}}\n"
        "uidMappings: [{containerID: 0, hostID: 524288, size: 65536}]\n"
        "gidMappings: [{containerID: 0, hostID: 524288, size: 65536}]\n"
    )
    unmount(case, "/proc/interrupts")
    inside(case, "mount", "-o", "remount,bind,rw", "/")
    assert case.drift() == [
        ("maskedPaths./proc/interrupts visible -> masked", "enforce"),
        ("rootfs.readonly false -> true", "enforce"),
    ]
    assert len(case.mend()) == 1
    assert case.drift() == []
    assert Path(f"/proc/{case.init.pid}/root/proc/interrupts").read_bytes() == b""


def test_what_may_mount_by_itself_has_its_own_mounts(make: Make) -> None:  # noqa: F811
    case = make(f"{PLAIN}security: {{capabilities: [SYS_ADMIN]}}\n")
    unmount(case, "/proc/interrupts")
    assert case.drift() == []


def test_the_policy_of_a_field_and_of_a_part_of_it_decides(make: Make, engine: Engine) -> None:  # noqa: F811
    fields = "{maskedPaths: report, readonlyPaths./proc/sys: ignore}"
    case = make(f"{PLAIN}drift: {{fields: {fields}}}\n")
    unmount(case, "/proc/interrupts")
    unmount(case, "/proc/sys")
    assert case.drift() == [
        ("maskedPaths./proc/interrupts visible -> masked", "report"),
        ("readonlyPaths./proc/sys writable -> read-only", "ignore"),
    ]
    assert case.mend() == []


def test_what_is_written_to_is_told_with_a_remedy_and_holds_back_nothing_else(
    make: Make,  # noqa: F811
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    case = make(f"{PLAIN}mounts: [{{type: bind, source: {data}, target: /srv, options: [ro]}}]\n")
    inside(case, "mount", "-o", "remount,bind,rw,nosuid,nodev", "/srv")
    unmount(case, "/sys/firmware")
    with Path(f"/proc/{case.init.pid}/root/srv/open").open("w"):
        report = Reconciler(case.engine, [str(case.file.parent)]).run_pass()
        (error,) = (str(one.error) for one in report.outcomes)
        assert error == (
            "cannot restore web: a file is open there to write; "
            "`reconciler restart web` closes it (/srv)"
        )
        assert case.drift() == [("mounts./srv rw -> ro", "enforce")]
    report = Reconciler(case.engine, [str(case.file.parent)]).converge()
    assert [one.error for one in report.outcomes] == [None]
    assert case.drift() == []
