"""One isolated reconciler as its user has it: directories, spec files, commands, clean-up.

Every test runs the command line in a process of its own, in directories of its own. No test
imports the package under test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from tests.e2e import kernel
from tests.e2e.waiting import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "reconciler"]
ERROR = re.compile(r"\((?P<name>[A-Z][a-z]\w+) (?P<code>\d{1,3})(?:\)|; see: reconciler explain )")
PROBLEM_KEYS = {"code", "name", "message", "file", "line", "column", "field"}
NOBODY = 65534

Json = dict[str, Any]


def sleeper(**fields: Any) -> Json:
    """Return the spec of a container that sleeps, and that can be stopped in no time."""
    return {"command": ["/bin/sleep", "inf"], "stop": {"signal": "KILL"}, **fields}


def shell(script: str, **fields: Any) -> Json:
    """Return the spec of a container that runs a shell script."""
    return sleeper(**{"command": ["/bin/sh", "-c", script], **fields})


@cache
def command_for_all() -> list[str]:
    """Return the command for other users, who may not be let into root's home and venv."""
    probe = [sys.executable, "-c", "pass"]
    try:
        subprocess.run(probe, user=NOBODY, check=True)
    except PermissionError:
        paths = ":".join(path for path in sys.path if path)
        python = f"/usr/bin/python3.{sys.version_info.minor}"
        if not Path(python).exists():
            pytest.skip(f"nobody may not run {sys.executable}, and there is no {python}")
        return ["/usr/bin/env", f"PYTHONPATH={ROOT}:{paths}", python, "-m", "reconciler"]
    return COMMAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command of the user's gave back."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """Return the result that `--output json` printed."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def records(self) -> list[Json]:
        """Return the log records of standard error: JSON lines, as it is no terminal here."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    @property
    def text(self) -> str:
        """Return all that the user sees."""
        return self.out + self.err

    @property
    def codes(self) -> set[str]:
        """Return the names of all error codes that the user sees."""
        return {match["name"] for match in ERROR.finditer(self.text)}

    def __str__(self) -> str:
        return f"reconciler {' '.join(self.args)}\nexit {self.code}\n{self.out}\n{self.err}"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One reconciler with its source directory; `close` destroys and checks what is left."""

    base: Path
    cgroups: set[Path] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    is_closed: bool = False

    @property
    def run_dir(self) -> Path:
        """Return the directory of records, sockets and locks."""
        return self.base / "run"

    @property
    def state_dir(self) -> Path:
        """Return the directory of logs."""
        return self.base / "state"

    @property
    def source(self) -> Path:
        """Return the directory of spec files."""
        return self.base / "conf"

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of this instance's commands."""
        own = {
            "RECONCILER_RUN_DIR": str(self.run_dir),
            "RECONCILER_STATE_DIR": str(self.state_dir),
        }
        rest = {k: v for k, v in os.environ.items() if not k.startswith("RECONCILER_")}
        return rest | own

    # --- files ---------------------------------------------------------------------------

    def write(self, file_name: str, *specs: Json | str) -> Path:
        """Put a spec file in place in one step (temporary name, rename), as editors do."""
        path = self.source / file_name
        texts = [spec if isinstance(spec, str) else yaml.safe_dump(spec) for spec in specs]
        temporary = path.with_name(f".{path.name[:200]}.tmp")
        temporary.write_text("---\n".join(texts))
        temporary.rename(path)
        return path

    def remove(self, *file_names: str) -> None:
        """Delete spec files."""
        for file_name in file_names:
            (self.source / file_name).unlink()

    # --- commands ------------------------------------------------------------------------

    def run(self, *args: str | Path, exits: int | None = 0, timeout_s: float = 60.0) -> Result:
        """Run `reconciler ARGS` as root and check its exit code and its manners."""
        return self.run_as(None, *args, exits=exits, timeout_s=timeout_s)

    def run_as(
        self,
        uid: int | None,
        *args: str | Path,
        exits: int | None = 0,
        timeout_s: float = 60.0,
        env: Mapping[str, str] = MappingProxyType({}),
        is_bug_ok: bool = False,
    ) -> Result:
        """Run `reconciler ARGS` as another user; see `run`."""
        words = tuple(str(arg) for arg in args)
        done = subprocess.run(
            [*(COMMAND if uid is None else command_for_all()), *words],
            env=self.environ | dict(env),
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        result = Result(args=words, code=done.returncode, out=done.stdout, err=done.stderr)
        self.codes |= result.codes
        assert "Traceback" not in result.text, str(result)
        assert is_bug_ok or "internal error" not in result.text, str(result)
        assert exits is None or result.code == exits, f"expected exit {exits}:\n{result}"
        return result

    def apply(self, *args: str | Path, exits: int | None = 0) -> Result:
        """Run `apply` on this instance's source."""
        return self.run("apply", self.source, *args, exits=exits)

    def plan(self, *args: str | Path, exits: int | None = 0) -> Json:
        """Return the plan of this instance's source."""
        return self.run("plan", self.source, "--output", "json", *args, exits=exits).json

    def is_converged(self) -> bool:
        """Tell whether `plan` finds nothing to do and nothing to complain about."""
        result = self.run("plan", self.source, "--detailed-exitcode", "-o", "json", exits=None)
        plan = result.json
        is_empty = plan["actions"] == [] and plan["problems"] == []
        assert (result.code == 0) is is_empty, str(result)
        return is_empty

    def items(self, *args: str | Path) -> dict[str, Json]:
        """Return the items of `status` by name."""
        items = self.run("status", *args, "--output", "json").json["items"]
        for item in items:
            if item["pid"] is not None:
                self.cgroups |= (
                    kernel.if_alive(
                        lambda pid=item["pid"]: kernel.instance_cgroups(pid)  # type: ignore[misc]
                    )
                    or set()
                )
        return {item["name"]: item for item in items}

    def item(self, name: str) -> Json:
        """Return the item of a container in `status`."""
        return self.items()[name]

    def made(self) -> set[str]:
        """Return the names of the containers that exist; `status` also shows planned ones."""
        return {name for name, item in self.items().items() if item["state"] != "pending"}

    def pid(self, name: str) -> int:
        """Return the process id of a running container."""
        item = self.item(name)
        assert item["state"] in ("running", "paused"), item
        pid = item["pid"]
        assert isinstance(pid, int)
        return pid

    def logs(self, name: str, *args: str) -> list[str]:
        """Return the lines that a container has written."""
        return self.run("logs", name, *args).out.splitlines()

    def wait_for(self, name: str, timeout_s: float = 15.0, **fields: Any) -> Json:
        """Wait until `status` shows these fields of a container."""

        def has_come() -> Json | None:
            item = self.items().get(name, {})
            return item if all(item.get(k) == v for k, v in fields.items()) else None

        found = wait_until(has_come, f"{name} has {fields}", timeout_s)
        assert found is not None
        return found

    def wait_for_log(self, name: str, text: str) -> list[str]:
        """Wait until a container has written a text; return its lines."""
        wait_until(lambda: text in "\n".join(self.logs(name)), f"{name} writes {text!r}")
        return self.logs(name)

    def monitors(self) -> list[int]:
        """Return the processes that are this instance's monitor: one, or none."""
        return kernel.processes_with("reconciler.monitor", f" {self.run_dir}")

    @contextmanager
    def watching(self, *args: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run `watch` on this instance's source meanwhile, and end it with SIGTERM."""
        words = [str(arg) for arg in (args or (self.source,))]
        with (
            (self.base / "watch.err").open("ab") as err,
            (self.base / "watch.out").open("ab") as out,
        ):
            watcher = subprocess.Popen(
                [*COMMAND, "watch", *words], env=self.environ, cwd=self.base, stdout=out, stderr=err
            )
            try:
                yield watcher
            finally:
                watcher.terminate()
                try:
                    watcher.wait(timeout=20)
                finally:
                    watcher.kill()
                    watcher.wait()

    @property
    def watch_text(self) -> str:
        """Return all that `watch` has printed so far."""
        names = ("watch.out", "watch.err")
        return "".join((self.base / n).read_text() for n in names if (self.base / n).exists())

    # --- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """Destroy all containers; check that no process, mount or cgroup of theirs is left."""
        if not (self.run_dir / "containers").exists():
            return  # nothing was ever made
        if not self.cgroups:
            self.items()
        self.run("destroy", "--all")
        assert kernel.processes_below(self.cgroups) == []
        assert [path for root in self.cgroups for path in root.glob("*/")] == []
        assert kernel.mounts_below(self.base) == []
        assert list((self.run_dir / "containers").glob("*")) == []
        self.is_closed = True

    def has_vanished(self) -> bool:
        """Tell whether the idle monitor has ended and taken the instance's cgroups along."""
        return not self.monitors() and not any(path.exists() for path in self.cgroups)


def make_instance() -> Instance:
    """Return a new instance; its paths are short, as those of unix sockets must be."""
    instance = Instance(base=Path(tempfile.mkdtemp(prefix="re-", dir="/tmp")))
    instance.base.chmod(0o755)
    instance.source.mkdir()
    return instance


def discard(instance: Instance) -> None:
    """Remove what a failed test may have left: processes, mounts, cgroups, files."""
    for pid in kernel.processes_below(instance.cgroups) + instance.monitors():
        kernel.if_alive(lambda pid=pid: os.kill(pid, 9))  # type: ignore[misc]
    for point in reversed(kernel.mounts_below(instance.base)):
        subprocess.run(["umount", "-l", point], check=False)
    wait_until(lambda: not kernel.processes_below(instance.cgroups), "killed processes end")
    for root in instance.cgroups:
        for path in sorted((p for p in root.rglob("*/")), reverse=True):
            if path.is_dir():
                path.rmdir()
        if root.exists():
            root.rmdir()
    shutil.rmtree(instance.base)
