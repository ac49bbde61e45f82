"""Names and numbers that lead elsewhere: ids as paths, users that are no users.

What an attempt would remove or enter is made by the test itself, below its own directory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.errors import ErrorCode
from tests.integration.conftest import in_root
from tests.integration.oci.conftest import Oci, make_spec

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]


def _victim(tmp_path: Path) -> Path:
    """Return a directory with a file, which is no container of anybody's."""
    (tmp_path / "victim/logs").mkdir(parents=True)
    (tmp_path / "victim/logs/precious").touch()
    return tmp_path / "victim/logs/precious"


def _paths_to(victim: Path, tmp_path: Path) -> list[str]:
    directory = victim.parent
    return [str(directory), f"../../{directory.relative_to(tmp_path)}"]


def test_an_id_that_is_a_path_deletes_nothing(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    """By `delete --force`, which takes what it cannot read as well: all that is below was removed.

    Shown by the mutation of `Engine.handle` that takes any id. Not tried with `..`: where that is
    taken, the cgroup above, with the test in it, is killed.
    """
    write_spec(make_spec("/bin/sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    for name in ("logs", "overlay"):
        (oci.root / name).mkdir(exist_ok=True)
        (oci.root / name / "precious").touch()
    precious = _victim(tmp_path)
    for name in _paths_to(precious, tmp_path):
        done = oci.run("delete", "--force", name)
        assert done.returncode != 0, name
        assert "[InvalidIdFormat]" in done.stderr
    assert precious.exists()
    assert (oci.root / "logs/precious").exists()
    assert (oci.root / "overlay/precious").exists()
    assert oci.state(oci.id())["status"] == "running"


def test_no_verb_takes_an_id_that_is_a_path(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("/bin/true"))
    precious = _victim(tmp_path)
    verbs = (
        *("create", "run", "start", "state", "delete", "pause", "resume", "ps"),
        *("events", "exec", "kill", "update"),
    )
    more = {"exec": ["/bin/true"], "kill": ["KILL"], "update": ["--pids-limit", "9"]}
    for name in _paths_to(precious, tmp_path):
        for verb in verbs:
            done = oci.run(verb, name, *more.get(verb, ()))
            assert done.returncode != 0, (verb, name)
    assert precious.exists()
    assert oci.ok("list", "--quiet") == ""


def test_no_id_that_is_a_path_is_taken_by_the_engine(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    precious = _victim(tmp_path)
    takes = (engine.handle, engine.load, partial(engine.create, config=in_root(rootfs, "true")))
    for name in (*_paths_to(precious, tmp_path), "..", ".", ""):
        for take in takes:
            with pytest.raises(ReconcilerError) as caught:
                take(name)
            assert caught.value.code is ErrorCode.InvalidIdFormat
    assert precious.exists()
