"""Reading logs that the monitor's own writer writes, also while it rotates them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.log_reader import LogFilter, LogReader
from reconciler.monitor.logs import LogFile

ALL = LogFilter()


class Writer:
    """The monitor's log file, fed with numbered lines a second apart."""

    def __init__(self, directory: Path, max_size: int, max_files: int) -> None:
        self.log = LogFile(str(directory), max_size, max_files)
        self.number = 0

    def write(self, count: int, stream: str = "stdout", tag: str = "F") -> None:
        for _ in range(count):
            stamp = f"2026-01-01T00:00:{self.number:02}.000000000Z"
            self.log.write(f"{stamp} {stream} {tag} line {self.number}\n".encode())
            self.number += 1


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def writer(directory: Path) -> Iterator[Writer]:
    made = Writer(directory, 200, 4)  # four lines a file
    yield made
    made.log.close()


def numbers(directory: Path, wanted: LogFilter = ALL, tail: int | None = None) -> list[int]:
    reader = LogReader(str(directory))
    try:
        return [int(line.text.split()[1]) for line in reader.read(wanted, tail)]
    finally:
        reader.close()


def test_a_container_without_output_has_no_lines(directory: Path) -> None:
    assert numbers(directory) == []


def test_rotated_files_are_read_oldest_first(directory: Path, writer: Writer) -> None:
    writer.write(14)
    assert {path.name for path in directory.iterdir()} == {"log", "log.1", "log.2", "log.3"}
    assert numbers(directory) == list(range(14))


@pytest.mark.parametrize("tail", [0, 1, 2, 3, 7, 14, 99])
def test_the_tail_reaches_over_files(directory: Path, writer: Writer, tail: int) -> None:
    writer.write(14)
    assert numbers(directory, tail=tail) == list(range(14))[max(0, 14 - tail) :]


def test_since_leaves_out_what_is_older(directory: Path, writer: Writer) -> None:
    writer.write(14)
    assert numbers(directory, LogFilter(since="2026-01-01T00:00:11.5")) == [12, 13]


def test_one_stream_can_be_chosen_and_its_tail_counts_its_own_lines(
    directory: Path, writer: Writer
) -> None:
    writer.write(2, "stdout")
    writer.write(3, "stderr")
    writer.write(2, "stdout")
    assert numbers(directory, LogFilter(stream="stderr")) == [2, 3, 4]
    assert numbers(directory, LogFilter(stream="stdout"), tail=3) == [1, 5, 6]


def test_a_text_with_spaces_and_odd_bytes_comes_back_as_it_was(directory: Path) -> None:
    log = LogFile(str(directory), 10_000, 2)
    log.write(b"2026-01-01T00:00:00.000000000Z stdout P  a  b \xff\n")
    log.write(b"2026-01-01T00:00:00.000000000Z stdout F \n")
    log.close()
    reader = LogReader(str(directory))
    first, second = reader.read(ALL, None)
    reader.close()
    assert (first.text, first.is_part) == (b" a  b \xff", True)
    assert (second.text, second.is_part) == (b"", False)
    assert first.to_json()["text"] == " a  b \ufffd"


def followed(directory: Path, writer: Writer, bursts: list[int]) -> list[int]:
    """Return what a follower sees of so many lines written between its looks."""
    reader = LogReader(str(directory))
    seen = [int(line.text.split()[1]) for line in reader.read(ALL, None)]
    left = iter(bursts)

    def is_over() -> bool:
        burst = next(left, None)
        writer.write(burst or 0)
        return burst is None

    for lines in reader.follow(ALL, is_over):
        seen += [int(line.text.split()[1]) for line in lines]
    reader.close()
    return seen


@pytest.mark.parametrize("bursts", [[1], [3, 3], [5], [9], [1, 9, 2, 9, 1]])
def test_following_misses_nothing_over_rotations(
    directory: Path, writer: Writer, bursts: list[int]
) -> None:
    writer.write(2)
    assert followed(directory, writer, bursts) == list(range(2 + sum(bursts)))


def test_following_begins_with_the_first_output(directory: Path, writer: Writer) -> None:
    assert followed(directory, writer, [6, 1]) == list(range(7))


def test_following_a_log_of_one_file_goes_on_after_it_was_emptied(directory: Path) -> None:
    writer = Writer(directory, 200, 1)
    writer.write(2)
    seen = followed(directory, writer, [1, 2, 1])  # the fifth line empties the file
    writer.log.close()
    assert seen[-1] == 5
    assert seen[:3] == [0, 1, 2]
