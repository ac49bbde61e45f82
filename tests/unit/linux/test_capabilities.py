"""Capabilities: names as in the kernel's header, and what the kernel shows after each call."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.linux import capabilities
from reconciler.linux.capabilities import NAMES, NUMBERS, last_cap, mask_of, read_own

HEADER = Path("/usr/include/linux/capability.h")
ROOT = Path(__file__).parents[3]


def run_child(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sets_after(script: str) -> capabilities.CapabilitySets:
    """Return the sets of a child after `script`."""
    child = run_child(script + "\nprint(json.dumps(read_own()))")
    assert (child.returncode, child.stderr) == (0, "")
    return capabilities.CapabilitySets(*json.loads(child.stdout))


def last_line_of_failure(script: str) -> str:
    child = run_child(script)
    assert child.returncode == 1
    return child.stderr.splitlines()[-1]


PRELUDE = """
import json, os
from reconciler.linux import capabilities
from reconciler.linux.calls import Calls, Chain
from reconciler.linux.capabilities import last_cap, mask_of, read_own

def made(prepare):
    def make(*masks):
        calls = Calls()
        prepare(calls, *masks)
        Chain([calls.finish()]).make([])
    return make

set_capabilities = made(capabilities.set_capabilities)
drop_bounding = made(capabilities.drop_bounding)
set_ambient = made(capabilities.set_ambient)
from reconciler.linux.process import PR_SET_KEEPCAPS, prctl
some = mask_of(["CHOWN", "NET_BIND_SERVICE", "SYSLOG"])
"""
SOME = mask_of(["CHOWN", "NET_BIND_SERVICE", "SYSLOG"])


def test_names_and_numbers_are_those_of_the_kernels_header() -> None:
    if not HEADER.exists():
        pytest.skip(f"needs {HEADER}: the Debian package linux-libc-dev")
    defined = re.findall(r"^#define CAP_([A-Z_]+)\s+(\d+)$", HEADER.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in defined if name != "LAST_CAP"}
    assert known.items() <= NUMBERS.items()


def test_the_first_and_the_last_have_the_numbers_of_the_manual() -> None:
    assert (NUMBERS["CHOWN"], NUMBERS["SYS_ADMIN"], NUMBERS["CHECKPOINT_RESTORE"]) == (0, 21, 40)
    assert len(NAMES) == len(set(NAMES)) == 41


def test_a_mask_has_the_bit_of_each_name() -> None:
    assert mask_of([]) == 0
    assert mask_of(["CHOWN", "CHECKPOINT_RESTORE"]) == 1 | 1 << 40


def test_an_unknown_name_has_no_bit() -> None:
    with pytest.raises(KeyError, match="CAP_CHOWN"):
        mask_of(["CAP_CHOWN"])


def test_the_kernel_knows_at_least_those_of_linux_5_12() -> None:
    assert last_cap() >= NUMBERS["CHECKPOINT_RESTORE"]


def test_own_sets_are_consistent() -> None:
    own = read_own()
    assert own.effective | own.permitted == own.permitted
    assert own.ambient & own.permitted & own.inheritable == own.ambient


def test_dropping_everything_needs_no_privilege() -> None:
    after = sets_after("set_capabilities(0, 0, 0)")
    assert (after.effective, after.permitted, after.inheritable) == (0, 0, 0)


@pytest.mark.requires_root
def test_three_sets_become_what_they_are_set_to() -> None:
    after = sets_after("set_capabilities(1, some, some)")
    assert (after.effective, after.permitted, after.inheritable) == (1, SOME, SOME)


@pytest.mark.requires_root
def test_the_bounding_set_keeps_what_is_named_alone() -> None:
    assert sets_after("drop_bounding(some)").bounding == SOME
    assert sets_after("drop_bounding(0)").bounding == 0


@pytest.mark.requires_root
def test_keeping_the_last_capability_does_not_run_past_the_end_of_the_list() -> None:
    assert sets_after("drop_bounding(1 << last_cap())").bounding == 1 << last_cap()


@pytest.mark.requires_root
def test_ambient_ones_are_those_named_whatever_was_before() -> None:
    script = "set_capabilities(some, some, some); set_ambient(some); set_ambient(1)"
    assert sets_after(script).ambient == 1


@pytest.mark.requires_root
def test_what_is_permitted_but_not_inheritable_cannot_be_ambient() -> None:
    failure = last_line_of_failure("set_capabilities(some, some, 0); set_ambient(some)")
    assert failure == "PermissionError: [Errno 1] Operation not permitted"


@pytest.mark.requires_root
def test_raising_what_was_given_up_is_refused() -> None:
    failure = last_line_of_failure("set_capabilities(0, 0, 0); set_capabilities(some, some, 0)")
    assert failure == "PermissionError: [Errno 1] Operation not permitted"


@pytest.mark.requires_root
def test_a_user_other_than_root_keeps_ambient_ones_over_execve() -> None:
    child = run_child(
        "prctl(PR_SET_KEEPCAPS, 1); drop_bounding(some); os.setresuid(1, 1, 1);"
        "set_capabilities(some, some, some); set_ambient(some);"
        "os.execv('/bin/grep', ['grep', '^Cap', '/proc/self/status'])"
    )
    shown = dict(line.split(":\t") for line in child.stdout.splitlines())
    assert {int(shown[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {SOME}
