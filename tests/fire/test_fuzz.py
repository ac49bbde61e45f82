"""Whatever is in a file: a valid spec, or problems that have a code and a place. Nothing else.

Spec files, drop-ins, env files and config.json of the OCI command line: examples, and documents
made from the schema, damaged in their structure, words and bytes; and hostile ones. Each case has
a number, and is made again from it: `RECONCILER_FIRE_CASES=1 RECONCILER_FIRE_FIRST=4711`.

The long form: `RECONCILER_FIRE_CASES=100000 tests/run tests/fire/test_fuzz.py`.
"""

from __future__ import annotations

import collections
import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

from reconciler.control.notes import decode_spec, encode_spec
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.loader.document import DocumentError
from reconciler.loader.env_file import parse_env
from reconciler.loader.parse import parse_file
from reconciler.loader.parsed import Parsed
from reconciler.loader.patch import Patches, read_patch
from reconciler.model.codec import from_dict, to_compact
from reconciler.model.config import Config
from reconciler.oci.bundle import load_bundle
from reconciler.oci.translate import translate_bundle
from reconciler.oci.verbs.spec import make_spec
from tests.fire.generate import Generator
from tests.fire.mutate import HOSTILE, damage_bytes, damage_tree, damage_words, spell
from tests.unit.loader.samples import FULL

ROOT = Path(__file__).parents[2]
CASES = int(os.environ.get("RECONCILER_FIRE_CASES", "15000"))
FIRST = int(os.environ.get("RECONCILER_FIRE_FIRST", "0"))
LIMIT_S = 20  # of processor time, for one file
LIMIT_KIB = 300 * 1024  # that the process may grow by, in all
FILE = "/etc/specs/web.yaml"

# Of a spec file in trouble; nothing else is ever said of what is in one.
SPEC_CODES = frozenset(
    {
        *(ErrorCode.SpecSyntax, ErrorCode.SpecSchema, ErrorCode.SpecValue),
        *(ErrorCode.SpecTooLarge, ErrorCode.InvalidIdFormat, ErrorCode.SpecDuplicateName),
    }
)
OCI_CODES = frozenset({ErrorCode.ConfigInvalid, ErrorCode.NotSupported})

SCHEMA: dict[str, Any] = json.loads((ROOT / "schemas/container.schema.json").read_text())
TEXTS = [FULL, *(path.read_text() for path in sorted(ROOT.glob("examples/*/*.yaml")))]
TREES = [yaml.safe_load(text) for text in TEXTS]
ENV = '# c\nA=1\nB=\'x y\'\nC="q\\" \\$"\n; d\n\nexport D=2\nE==\n F = 3 \n'
BUNDLES = [make_spec(is_rootless=True), make_spec(is_rootless=False)]
RICH: dict[str, Any] = {
    "hooks": {"prestart": [{"path": "/bin/true", "args": ["a"], "env": ["A=1"], "timeout": 3}]},
    "annotations": {"a": "b"},
    "domainname": "d",
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "time"}],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "cgroupsPath": "/a/b",
        "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438}],
        "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}},
        "rootfsPropagation": "slave",
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {
                    "names": ["read", "clone"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
        "resources": {
            "memory": {"limit": 2**20, "swap": 2**21, "reservation": 5, "swappiness": 3},
            "cpu": {"shares": 5, "quota": 10000, "period": 20000, "cpus": "0-1", "idle": 1},
            "pids": {"limit": 5},
            "blockIO": {
                "weight": 10,
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4}],
            "network": {"classID": 5, "priorities": [{"name": "lo", "priority": 1}]},
            "rdma": {"mlx": {"hcaHandles": 1}},
            "unified": {"memory.high": "1"},
        },
    },
}
BUNDLES.append({**BUNDLES[1], **RICH})


class TooSlow(BaseException):
    """A case took more processor time than any may."""


def spec_text(rng: random.Random) -> str:
    """Return a document that is or once was a spec."""
    kind, oddness = rng.randrange(5), rng.choice([0, 0.01, 0.1])
    made = Generator(rng, SCHEMA, oddness).document()
    if kind in (0, 4):
        return spell(rng, made)
    if kind == 1:
        return spell(rng, damage_tree(rng, rng.choice(TREES)))
    if kind == 2:
        return damage_words(rng, rng.choice(TEXTS))
    return damage_words(rng, spell(rng, made))


def spec_data(rng: random.Random) -> bytes:
    """Return what is in a spec file."""
    if rng.random() < 0.01:
        return rng.choice(HOSTILE)(rng.choice([3, 30, 300, 3000])).encode()
    data = spec_text(rng).encode(errors="surrogatepass")
    return damage_bytes(rng, data) if rng.random() < 0.3 else data


def try_spec(rng: random.Random, _: Path) -> str:
    file = rng.choice([FILE, FILE, "/etc/specs/web.json", "/etc/specs/-.yaml"])
    return check(parse_file(file, spec_data(rng)), {file})


def try_drop_in(rng: random.Random, _: Path) -> str:
    names = [f"{FILE}.d/{number}.yaml" for number in range(rng.randint(1, 2))]
    patches = [read_patch(name, spec_data(rng)) for name in names]
    base = rng.choice(TEXTS).encode()
    return check(parse_file(FILE, base, Patches(common=patches)), {FILE, *names})


def try_env(rng: random.Random, _: Path) -> str:
    data = damage_words(rng, ENV).encode(errors="surrogatepass")
    if rng.random() < 0.3:
        data = damage_bytes(rng, data)
    try:
        variables = parse_env("/etc/specs/a.env", data)
    except DocumentError as error:
        return check_refused(error.code, error.line, error.column, error.message)
    for name, value in variables.items():
        assert name
        assert not set("=\0") & set(name)
        assert "\0" not in value.text
        name.encode()
        value.text.encode()
    return "valid"


def try_bundle(rng: random.Random, directory: Path) -> str:
    text = spell_json(rng, damage_tree(rng, rng.choice(BUNDLES)))
    if rng.random() < 0.2:
        text = damage_words(rng, text)
    data = text.encode(errors="surrogatepass")
    if rng.random() < 0.1:
        data = damage_bytes(rng, data)
    if rng.random() < 0.01:
        data = rng.choice(HOSTILE)(rng.choice([30, 3000, 100_000])).encode()
    (directory / "config.json").write_bytes(data)
    try:
        config = translate_bundle(load_bundle(str(directory)), has_cgroups=rng.random() < 0.8)
    except ReconcilerError as error:
        return check_error(error)
    assert from_dict(Config, json.loads(json.dumps(to_compact(config)))) == config
    return "valid"


def spell_json(rng: random.Random, document: Any) -> str:
    return json.dumps(document, ensure_ascii=rng.random() < 0.5)


def check(parsed: Parsed, files: set[str]) -> str:
    assert parsed.specs or parsed.problems
    for problem in parsed.problems:
        assert problem.file in files
        check_refused(problem.code, problem.line, problem.column, problem.describe())
    for spec in parsed.specs:
        notes = json.loads(json.dumps(encode_spec(spec)))
        config = from_dict(Config, json.loads(json.dumps(to_compact(spec.config))))
        assert decode_spec(spec.name, notes, config) == spec
        json.dumps(to_compact(spec), ensure_ascii=False).encode()
    return "refused" if parsed.problems else "valid"


def check_error(error: ReconcilerError) -> str:
    """See that an error of the OCI command line has a code that it may have, on one short line."""
    assert error.code in OCI_CODES, error.detail()
    assert len(str(error)) < 2000
    assert str(error).isprintable(), repr(str(error))
    return "refused"


def check_refused(code: int, line: int | None, column: int | None, text: str) -> str:
    """See that a problem has a code that it may have, a place, and one short line of text."""
    assert code in SPEC_CODES
    assert line is not None
    assert column is not None
    assert line >= 1
    assert column >= 1
    assert text.isprintable(), repr(text)
    assert len(text) < 1000
    text.encode()
    return "refused"


KINDS: list[tuple[Callable[[random.Random, Path], str], int]] = [
    (try_spec, 14),
    (try_drop_in, 2),
    (try_env, 1),
    (try_bundle, 3),
]


@pytest.fixture
def limited() -> Iterator[None]:
    """Have a case that takes too long fail in its own place."""

    def too_slow(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {LIMIT_S} s of processor time")

    before = signal.signal(signal.SIGPROF, too_slow)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("limited")
def test_whatever_is_in_a_file_is_valid_or_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [kind for kind, weight in KINDS for _ in range(weight)]
    counts: collections.Counter[str] = collections.Counter()
    failed: list[str] = []
    begun, slowest = time.process_time(), 0.0
    size_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(FIRST, FIRST + CASES):
        rng = random.Random(number)
        kind, before = rows[number % len(rows)], time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            counts[f"{kind.__name__} {kind(rng, tmp_path)}"] += 1
        except (Exception, TooSlow) as error:  # noqa: BLE001  (all of them are shown)
            failed.append(f"case {number}, {kind.__name__}: {type(error).__name__}: {error!s:.300}")
        slowest = max(slowest, time.process_time() - before)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size_kib
    with capsys.disabled():
        print(f" {CASES} cases in {time.process_time() - begun:.0f} s of processor time,")
        print(f"the slowest {slowest:.2f} s, grown by {grown_kib >> 10} MiB:", dict(counts))
    assert not failed, "\n".join(failed[:40])
    assert grown_kib < LIMIT_KIB
