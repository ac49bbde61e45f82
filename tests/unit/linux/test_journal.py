from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from reconciler.linux.journal import Journal, encode, field_name, is_journal
from reconciler.linux.memfd import read_memfd


def test_a_field_is_a_line_and_one_of_several_lines_has_its_length() -> None:
    assert encode({"MESSAGE": "hello", "PRIORITY": "6"}) == b"MESSAGE=hello\nPRIORITY=6\n"
    assert encode({"A": "b\nc"}) == b"A\n" + struct.pack("<Q", 3) + b"b\nc\n"


def test_names_are_made_such_that_the_journal_takes_them() -> None:
    assert field_name("duration-ms") == "DURATION_MS"
    assert field_name("_pid") == "PID"
    assert len(field_name("x" * 100)) == 64


def test_a_record_is_one_datagram(listener: socket.socket) -> None:
    journal = Journal(listener.getsockname())
    journal.send({"MESSAGE": "one"})
    journal.send({"MESSAGE": "two"})
    assert [listener.recv(100) for _ in range(2)] == [b"MESSAGE=one\n", b"MESSAGE=two\n"]
    journal.close()


def test_a_record_too_large_for_a_datagram_comes_as_a_sealed_file(
    listener: socket.socket,
) -> None:
    journal = Journal(listener.getsockname())
    text = "x" * 2**20
    journal.send({"MESSAGE": text})
    data, fds, _, _ = socket.recv_fds(listener, 100, 1)
    assert data == b""
    assert read_memfd(fds[0]) == f"MESSAGE={text}\n".encode()
    with pytest.raises(PermissionError):
        os.write(fds[0], b"changed")
    os.close(fds[0])
    journal.close()


def test_a_journal_that_is_not_there_is_an_error() -> None:
    journal = Journal("/no/such/socket")
    with pytest.raises(FileNotFoundError):
        journal.send({"MESSAGE": "lost"})
    journal.close()


def test_only_the_stream_that_systemd_named_is_the_journal(tmp_path: Path) -> None:
    with open(tmp_path / "stream", "w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream.fileno(), f"{status.st_dev}:{status.st_ino}")
        assert not is_journal(stream.fileno(), f"{status.st_dev}:{status.st_ino + 1}")
        assert not is_journal(stream.fileno(), "")
    assert not is_journal(9999, "1:2")
