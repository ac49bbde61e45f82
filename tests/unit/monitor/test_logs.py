"""Log files: whole lines, bounded size, nothing half-written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.monitor.logs import LogFile, LogStream, open_fifo

ROW = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] .*")


def feed(tmp_path: Path, chunks: list[bytes], max_size: int = 10**6) -> list[bytes]:
    """Write chunks through a FIFO and a LogStream; return the rows of the log."""
    fifo = tmp_path / "stdout"
    os.mkfifo(fifo)
    log = LogFile(str(tmp_path / "logs"), max_size, 3)
    stream = LogStream(open_fifo(str(fifo)), "stdout", log)
    writer = os.open(fifo, os.O_WRONLY)
    for chunk in chunks:
        os.write(writer, chunk)
        stream.pump()
    os.close(writer)
    stream.close()
    log.close()
    path = tmp_path / "logs/log"
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def texts(rows: list[bytes]) -> list[bytes]:
    assert all(ROW.fullmatch(row) for row in rows)
    return [row.split(b" ", 3)[3] for row in rows]


def test_lines_are_stamped_and_cut_at_newlines(tmp_path: Path) -> None:
    assert texts(feed(tmp_path, [b"one\ntw", b"o\n\nthree\n"])) == [b"one", b"two", b"", b"three"]


def test_an_unended_last_line_is_written_as_a_part(tmp_path: Path) -> None:
    rows = feed(tmp_path, [b"full\nrest"])
    assert [row.split(b" ")[2] for row in rows] == [b"F", b"P"]


def test_an_endless_line_is_cut_into_parts_and_loses_nothing(tmp_path: Path) -> None:
    rows = feed(tmp_path, [b"x" * 20_000, b"y" * 20_000, b"z\n"])
    assert [row.split(b" ")[2] for row in rows] == [b"P", b"P", b"F"]
    assert b"".join(texts(rows)) == b"x" * 20_000 + b"y" * 20_000 + b"z"


def test_a_stream_is_closed_while_another_goes_on_writing_to_it(tmp_path: Path) -> None:
    """By a writer that is always quick enough: it fills up what each chunk has made room for."""
    os.mkfifo(tmp_path / "stdout")
    refills = []

    class Refilled(LogFile):
        def write(self, lines: bytes) -> None:
            super().write(lines)
            refills.append(os.write(writer, b"more\n"))
            assert len(refills) < 100

    log = Refilled(str(tmp_path / "logs"), 10**6, 3)
    stream = LogStream(open_fifo(str(tmp_path / "stdout")), "stdout", log)
    writer = os.open(tmp_path / "stdout", os.O_WRONLY)
    os.write(writer, b"before\n")
    stream.close()
    os.close(writer)
    log.close()
    assert texts((tmp_path / "logs/log").read_bytes().split(b"\n")[:-1])[0] == b"before"


def test_files_are_never_larger_than_the_limit_and_never_more_than_the_number(
    tmp_path: Path,
) -> None:
    feed(tmp_path, [b"0123456789\n" * 50] * 20, max_size=2000)
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(0 < file.stat().st_size <= 2000 for file in files)
    assert all(ROW.fullmatch(row) for file in files for row in file.read_bytes().splitlines())


def test_a_single_file_is_emptied_when_it_is_full(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), 100, 1)
    for number in range(10):
        log.write(b"%02d" % number + b"x" * 40 + b"\n")
    log.close()
    assert os.listdir(tmp_path) == ["log"]
    assert (tmp_path / "log").stat().st_size <= 100
    assert log.lost_bytes == 0


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the directory should be")
    log = LogFile(str(tmp_path / "logs"), 100, 2)
    log.write(b"12345\n")
    assert log.lost_bytes == 6
    assert log.error


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_rows_together_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    rows = feed(tmp_path_factory.mktemp("any"), [chunk for chunk in chunks if chunk])
    joined = b""
    for row in rows:
        joined += row.split(b" ", 3)[3] + (b"\n" if row.split(b" ")[2] == b"F" else b"")
    assert joined == b"".join(chunks)
