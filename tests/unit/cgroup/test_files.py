"""File I/O of the cgroup layer: whole contents, and errors that say where and what."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from reconciler.cgroup import files


@pytest.mark.parametrize("size", [0, 1, 2048, 2049, 65536, 65537, 200_000])
def test_a_file_of_any_length_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_text("x" * size)
    assert files.read_text(str(path)) == "x" * size


def test_a_long_kernel_list_is_read_whole() -> None:
    with open("/proc/kallsyms") as file:  # a list that comes in pieces of a page
        expected = file.read()
    assert len(expected) > 100_000
    assert lasting(files.read_text("/proc/kallsyms")) == lasting(expected)


def lasting(symbols: str) -> list[str]:
    """Return the lines but those of BPF programs, which come and go."""
    return [line for line in symbols.splitlines() if not line.endswith("[bpf]")]


def test_a_failed_read_names_the_path(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OSError, match=str(path)) as caught:
            files.read_text(str(path))
        assert caught.value.filename == str(path)


def test_a_file_that_the_kernel_lacks_can_be_asked_for(tmp_path: Path) -> None:
    assert files.read_optional(str(tmp_path / "none")) is None
    with pytest.raises(IsADirectoryError):
        files.read_optional(str(tmp_path))


def test_a_failed_write_names_path_and_data(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="writing '42'") as caught:
        files.write_text(str(tmp_path / "none"), "42")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(OSError, match="writing 'x'") as caught:
        files.write_text("/dev/full", "x")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"


def test_a_write_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_text(str(tmp_path / "new"), "1")
    assert list(tmp_path.iterdir()) == []


def test_directories_are_made_and_removed_once(tmp_path: Path) -> None:
    path = str(tmp_path / "cgroup")
    assert [files.mkdir(path), files.mkdir(path)] == [True, False]
    assert files.exists(path)
    assert [files.rmdir(path), files.rmdir(path)] == [True, False]
    assert not files.exists(path)
    with pytest.raises(FileNotFoundError):
        files.mkdir(f"{path}/deep")


def test_a_flat_keyed_file_becomes_numbers(tmp_path: Path) -> None:
    path = tmp_path / "cpu.stat"
    path.write_text("usage_usec 5\nuser_usec 3\nodd line here\nword x\n")
    assert files.read_flat(str(path)) == {"usage_usec": 5, "user_usec": 3}
