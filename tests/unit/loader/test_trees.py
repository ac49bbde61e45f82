"""Digests of files and directories that specs refer to."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.loader import trees
from reconciler.loader.sources import FileTrouble
from reconciler.loader.trees import MAX_BYTES, MAX_DEPTH, read_tree, stat_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "conf"
    (top / "sub").mkdir(parents=True)
    (top / "app.conf").write_text("one")
    (top / "sub" / "more.conf").write_text("two")
    (top / "link").symlink_to("sub/more.conf")
    return top


def digest_of(path: Path) -> str | None:
    found = read_tree(str(path))
    return None if found is None else found[1]


def relink(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("app.conf")


def put_link(top: Path) -> None:
    (top / "app.conf").unlink()
    (top / "app.conf").symlink_to("sub/more.conf")


def put_fifo(top: Path) -> None:
    (top / "app.conf").unlink()
    os.mkfifo(top / "app.conf")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda top: (top / "sub" / "more.conf").write_text("new"),
    "a name": lambda top: (top / "app.conf").rename(top / "b.conf"),
    "a new file": lambda top: (top / "new").write_text(""),
    "a removed file": lambda top: os.remove(top / "app.conf"),
    "a new directory": lambda top: os.makedirs(top / "sub" / "deeper"),
    "another target of a link": relink,
    "a link in a file's place": put_link,
    "a FIFO in a file's place": put_fifo,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_names_and_contents_changes_the_digest(
    change: Callable[[Path], object], tree: Path
) -> None:
    before = read_tree(str(tree))
    change(tree)
    after = read_tree(str(tree))
    assert before is not None
    assert after is not None
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_copy_has_the_same_digest_and_another_stamp(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tree, copy, symlinks=True)
    assert digest_of(copy) == digest_of(tree)
    assert stat_tree(str(copy)) != stat_tree(str(tree))


def test_what_moves_between_names_and_contents_is_told_apart(tmp_path: Path) -> None:
    for name, content in (("ab", "c"), ("a", "bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(content)
    assert digest_of(tmp_path / "ab") != digest_of(tmp_path / "a")


def test_the_path_itself_is_followed_and_links_in_it_are_not(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "conf-link").symlink_to(tree)
    assert digest_of(tmp_path / "conf-link") == digest_of(tree)
    outside = tmp_path / "outside"
    outside.write_text("1")
    (tree / "out").symlink_to(outside)
    before = digest_of(tree)
    outside.write_text("2")
    assert digest_of(tree) == before


def test_a_swap_of_the_data_link_is_one_change_as_with_config_maps(tmp_path: Path) -> None:
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "app.conf").write_text(version)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "app.conf").symlink_to("..data/app.conf")
    before = digest_of(tmp_path)
    (tmp_path / "new").symlink_to("..2")
    os.rename(tmp_path / "new", tmp_path / "..data")
    assert digest_of(tmp_path) != before


def test_fifos_sockets_and_devices_are_never_opened(tree: Path) -> None:
    os.mkfifo(tree / "fifo")  # opening it would block for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        assert digest_of(tree) is not None
    assert digest_of(tree / "fifo") is not None
    assert digest_of(Path("/dev/null")) is not None


@pytest.mark.parametrize("path", ["gone", "app.conf/below", "broken"])
def test_what_is_missing_has_no_digest(path: str, tree: Path) -> None:
    (tree / "broken").symlink_to("nowhere")
    assert read_tree(str(tree / path)) is None
    assert stat_tree(str(tree / path)) is None


def trouble_with(path: Path) -> str:
    with pytest.raises(FileTrouble) as caught:
        read_tree(str(path))
    return caught.value.message


def test_too_much_is_refused_before_it_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tree / "huge").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # sparse
    assert trouble_with(tree) == (
        f"cannot look for changes in {tree}: it has more than 64Mi;"
        " mount less of it, or leave onChange out"
    )
    assert "more than 64Mi" in trouble_with(tree / "huge")
    (tree / "huge").unlink()
    monkeypatch.setattr(trees, "MAX_ENTRIES", 4)
    assert "more than 4 entries" in trouble_with(tree)


def test_a_tree_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 2):
        os.mkdir("d", dir_fd=directory)
        inner = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(directory)
    assert f"more than {MAX_DEPTH} levels" in trouble_with(tmp_path)


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "too many levels of symbolic links" in trouble_with(tmp_path / "loop")


def test_what_cannot_be_read_is_told_by_its_path() -> None:
    assert trouble_with(Path("/proc/self/mem")) == "cannot read /proc/self/mem: input/output error"


def test_a_tree_that_vanishes_while_it_is_walked_gives_what_was_left(tree: Path) -> None:
    walk = trees._walk(str(tree))
    next(walk)
    next(walk)
    shutil.rmtree(tree)
    assert "sub/more.conf" not in [item.path for item in walk]
    assert read_tree(str(tree)) is None
