"""Files that are replaced as a whole, by writers that may be killed in the middle."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.linux.files import replace_file


def test_a_file_is_its_owners_alone_and_stands_whole(tmp_path: Path) -> None:
    """The second content takes the place of the first, and nothing stands beside it."""
    path = tmp_path / "one.json"
    replace_file(str(path), b"first, and longer")
    replace_file(str(path), b"second", is_synced=True)
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_has_left_is_cleared_away(tmp_path: Path) -> None:
    """That of a writer that lives is not, nor that of another file."""
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    kept = {f"one.json.{os.getppid()}.tmp", f"two.json.{gone.pid}.tmp", "one.json.old.tmp"}
    for name in {f"one.json.{gone.pid}.tmp", *kept}:
        (tmp_path / name).write_text("half")
    replace_file(str(tmp_path / "one.json"), b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"one.json", *kept}


def test_the_old_file_stands_where_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    """Nothing is left beside it either."""
    path = tmp_path / "one.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(str(path), b"new")
    assert list(tmp_path.iterdir()) == [path]
