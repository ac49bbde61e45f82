"""Small parts of the OCI command line: signals, cgroup paths, merged limits, messages."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.oci.cgroups import directories, place
from reconciler.oci.failures import describe
from reconciler.oci.fields import Fields
from reconciler.oci.log import Log
from reconciler.oci.verbs.kill import parse_signal
from reconciler.oci.verbs.update import merge


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("0", 0),
        ("RTMIN+1", int(signal.SIGRTMIN) + 1),
        ("SIGRTMAX-2", int(signal.SIGRTMAX) - 2),
    ],
)
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["NOPE", "99", "-1", "", "TERM+1", "RTMIN+x"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(ReconcilerError, match="unknown signal"):
        parse_signal(text)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (None, (None, "id")),
        ("a/b", (None, "a/b")),
        ("/a/b", ("/a", "b")),
        ("/a", ("/", "a")),
        ("//a//b/", ("/a", "b")),
    ],
)
def test_a_cgroups_path_is_below_the_root_or_our_own(
    path: str | None, wanted: tuple[str | None, str]
) -> None:
    assert place(Fields({"cgroupsPath": path}), "id") == wanted


@pytest.mark.parametrize("path", ["../x", "/a/../b", "system.slice:x:y", "/", ".", "//", "/."])
def test_a_cgroups_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ReconcilerError, match="cgroupsPath"):
        place(Fields({"cgroupsPath": path}), "id")


def test_each_hierarchy_has_a_directory() -> None:
    assert directories({"memory": "/m/", "unified": "/u"}, "a/b") == {
        "memory": "/m/a/b",
        "unified": "/u/a/b",
    }


def test_merged_limits_keep_what_is_not_given() -> None:
    former = {"memory": {"limit": 5, "swap": 9}, "pids": {"limit": 3}}
    changes = {"memory": {"limit": 4, "swap": 0}, "cpu": None}
    assert merge(former, changes) == {"memory": {"limit": 4, "swap": 9}, "pids": {"limit": 3}}


def test_memory_without_limit_is_swap_without_limit() -> None:
    assert merge({"memory": {"limit": 5, "swap": 9}}, {"memory": {"limit": -1}}) == {
        "memory": {"limit": -1, "swap": -1}
    }


def test_messages_have_the_words_that_callers_look_for() -> None:
    missing = ReconcilerError(ErrorCode.CommandNotFound, "cannot start c: nothing")
    assert "executable file not found in $PATH [CommandNotFound]" in describe(missing, "run")
    gone = ReconcilerError(ErrorCode.ContainerNotExists, "no c")
    assert describe(gone, "run").startswith("container does not exist: no c")
    assert "please report" in describe(KeyError("x"), "run")


def test_the_log_is_json_or_text_and_is_added_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    log = Log(str(path), is_json=True, is_debug=False)
    log.error('with "quotes"')
    log.warning("second")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("error", 'with "quotes"'),
        ("warning", "second"),
    ]
    assert capsys.readouterr().err == 'with "quotes"\n'
    Log(None, is_json=False, is_debug=False).error('with "quotes"')
    assert 'level=error msg="with \\"quotes\\""' in capsys.readouterr().err
