"""Seccomp profiles named by file: what is taken, what is told of one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.loader.load import Loader
from reconciler.model.config import SeccompMode
from tests.unit.loader.samples import write

PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
}
SPEC = "command: [a]\nsecurity: {seccomp: {profile: web.json.seccomp}}\n"


def load(directory: Path, profile: str | None) -> tuple[Loader, list[str]]:
    write(directory, "web.yaml", SPEC)
    if profile is not None:
        write(directory, "web.json.seccomp", profile)
    loader = Loader(None)
    desired = loader.load([str(directory)])
    return loader, [one.describe().removeprefix(f"{directory}/") for one in desired.problems]


def test_its_content_is_a_part_of_the_spec_and_its_layout_is_not(tmp_path: Path) -> None:
    loader, problems = load(tmp_path, json.dumps(PROFILE))
    assert problems == []
    first = loader.load([str(tmp_path)]).specs["web"]
    assert first.config.security.seccomp is SeccompMode.DEFAULT
    assert json.loads(first.config.isolation.seccomp or "") == PROFILE
    write(tmp_path, "web.json.seccomp", json.dumps(PROFILE, indent=2))
    assert loader.load([str(tmp_path)]).specs["web"].digest == first.digest
    write(tmp_path, "web.json.seccomp", json.dumps(PROFILE | {"defaultAction": "SCMP_ACT_LOG"}))
    assert loader.load([str(tmp_path)]).specs["web"].digest != first.digest


def test_it_is_watched_where_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "profiles"
    elsewhere.mkdir()
    specs = tmp_path / "specs"
    specs.mkdir()
    spec = "command: [a]\nsecurity: {seccomp: {profile: ../profiles/a.json}}\n"
    write(specs, "web.yaml", spec)
    write(elsewhere, "a.json", json.dumps(PROFILE))
    loader = Loader(None)
    assert loader.load([str(specs)]).problems == ()
    assert loader.watched_paths([str(specs)])[str(elsewhere)].covers("a.json")


def test_the_last_good_spec_stays_while_its_profile_is_broken(tmp_path: Path) -> None:
    loader, _ = load(tmp_path, json.dumps(PROFILE))
    good = loader.load([str(tmp_path)]).specs["web"]
    write(tmp_path, "web.json.seccomp", "{")
    broken = loader.load([str(tmp_path)])
    assert broken.specs["web"] == good
    assert [one.file for one in broken.problems] == [str(tmp_path / "web.json.seccomp")]


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (None, "web.yaml:2:31: security.seccomp.profile: the profile {} does not exist"),
        ("{", "web.json.seccomp:1:2: the seccomp profile is not valid JSON: Expecting property"),
        ("[]", 'the seccomp profile: it must be an object, as {{"defaultAction"'),
        ('{"linux": {}}', "it is a whole config.json; keep what is in its linux.seccomp"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "archMap": []}', "archMap is docker's own format"),
        ('{"syscalls": []}', "defaultAction is missing"),
        ('{"defaultAction": "ALLOW"}', "'ALLOW' is no action"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscals": []}', "syscals is no field of it"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [1]}', "syscalls[0] must be an object"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}', "syscalls must be a list"),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": "uname"}]}',
            "syscalls[0].names must be a list",
        ),
        (
            (
                '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG",'
                ' "names": ["a"], "includes": {"caps": ["CAP_BPF"]}}]}'
            ),
            "syscalls[0].includes is docker's own format",
        ),
        (
            (
                '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG",'
                ' "names": ["a"], "args": [{"index": true}]}]}'
            ),
            "syscalls[0].args[0].index must be a whole number",
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_it_is_told_at_its_place(
    tmp_path: Path, profile: str | None, message: str
) -> None:
    _, problems = load(tmp_path, profile)
    assert len(problems) == 1
    assert message.format(tmp_path / "web.json.seccomp") in problems[0]


def test_a_path_in_place_of_a_mode_is_answered_with_what_to_write(tmp_path: Path) -> None:
    write(tmp_path, "web.yaml", "command: [a]\nsecurity: {seccomp: web.json}\n")
    [problem] = Loader(None).load([str(tmp_path)]).problems
    assert problem.message == (
        "'web.json' is neither default nor unconfined; for a profile of your own write"
        " {profile: web.json}"
    )
