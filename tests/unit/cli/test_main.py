"""The entrance of the command line: verbs, options, wrong usage, exit codes, lazy imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from reconciler import __version__
from reconciler.cli.main import main
from reconciler.cli.verbs import HINTS, SYNONYMS, VERBS

pytestmark = pytest.mark.usefixtures("_plain")


@pytest.fixture
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")


def process(arguments: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler", *arguments]
    return subprocess.run(command, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_the_version_is_printed_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"reconciler {__version__}\n"
    assert main(["version", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples_of_itself(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: reconciler {verb}" in shown
    assert f"  reconciler {verb}" in shown[shown.index("examples:") :]
    assert "--run-dir" in shown
    assert "--debug" in shown


def test_the_overview_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)
    assert all(code in shown for code in ("0 done", "3 invalid", "64 wrong usage"))
    assert main(["help"]) == 0
    assert capsys.readouterr().out == shown


def test_synonyms_are_no_verbs_and_lead_to_verbs() -> None:
    assert set(SYNONYMS.values()) <= set(VERBS)
    assert not set(SYNONYMS) & set(VERBS)


def test_hints_are_for_what_is_no_verb_and_name_verbs_that_are() -> None:
    assert not set(HINTS) & (set(VERBS) | set(SYNONYMS))
    for hint in HINTS.values():
        named = re.findall("`reconciler ([a-z]+)", hint)
        assert named or "write" in hint
        assert set(named) <= set(VERBS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aply"], "did you mean 'apply'?"),
        (["ps"], "did you mean 'status'?"),
        (["stop", "web"], "unknown verb 'stop'; put `state: stopped` into its file and run"),
        (["UP"], "unknown verb 'UP'; run `reconciler apply` once, or `reconciler watch`"),
        (["xyzzy"], "the verbs are validate, plan"),
        ([], "no verb is given"),
        (["status", "--ouput", "json"], "unknown option '--ouput'; did you mean --output?"),
        (["version", "now"], "'now' is one argument too many"),
        (["status", "--output", "xml"], "invalid choice: 'xml'"),
        (["logs"], "required: NAME"),
        (["logs", "web", "--tail", "-1"], "--tail"),
        (["logs", "web", "--tail", "many"], "'many' is not a number from 0 on"),
        (["logs", "web", "--since", "soon"], "'soon' is not a duration"),
        (["apply", "--max-prune", "101"], "'101' is not a percentage from 0 to 100"),
        (["apply", "--timeout", "5"], "'5' is not a duration"),
    ],
)
def test_wrong_usage_exits_64_and_says_what_is_right(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.startswith("error: cannot understand the command line: ")
    assert shown.err.endswith("(Usage 154; see: reconciler explain 154)\n")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_options_may_stand_before_and_after_the_verb(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", "json", "--debug"]
    arguments = [*options, "version"] if where == "before" else ["version", *options]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_an_error_with_output_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output=json", "aply"]) == 64
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error.keys() >= {"code", "name", "message", "file", "line", "column", "field"}
    assert (error["code"], error["name"]) == (154, "Usage")
    assert shown.err.startswith("error: ")


def test_an_error_with_log_format_json_is_one_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aply", "--log-format", "json"]) == 64
    record = json.loads(capsys.readouterr().err)
    assert record["code"] == 154
    assert record["level"] == "error"


def test_debug_adds_the_stack_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aply", "--debug"]) == 64
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_told_as_an_internal_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli.verbs import version

    monkeypatch.setattr(version, "run", lambda args: 1 // 0)
    assert main(["version"]) == 1
    shown = capsys.readouterr().err
    assert "error: internal error: ZeroDivisionError: " in shown
    assert "--debug" in shown
    assert "(Internal 199; see: reconciler explain 199)" in shown


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.cli.verbs import version

    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "run", interrupted)
    assert main(["version"]) == 130


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m reconciler schema | head -c 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout in ("{0\n", "{141\n")  # whether all of it fitted into the pipe


def test_a_full_output_is_an_error_with_a_code() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        run = process(["version"], stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 1
    assert run.stderr.startswith("error: cannot write to standard output: No space left on device")
    assert run.stderr.count("\n") == 1


def test_the_version_is_told_without_loading_what_it_does_not_need() -> None:
    program = (
        "import sys; from reconciler.cli.main import main; main(['version'])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('reconciler')))\n"
        "print(*sorted({'yaml', 'jsonschema', 'watchdog', 'json', 'logging', 'asyncio', 'shutil',"
        " 'subprocess', 'dataclasses', 'enum'} & set(sys.modules) - {'enum'}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    _, loaded, heavy = run.stdout.splitlines()
    assert set(loaded.split()) == {
        "reconciler",
        "reconciler.cli",
        "reconciler.cli.arguments",
        "reconciler.cli.main",
        "reconciler.cli.output",
        "reconciler.cli.verbs",
        "reconciler.cli.verbs.version",
    }
    assert heavy == ""
