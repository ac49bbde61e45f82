"""Jobs run once and again on change; what ends is restarted as its policy says."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.instance import Instance, Json, shell
from tests.e2e.waiting import wait_until


def job(script: str, **fields: Any) -> Json:
    """Return the spec of a job."""
    return shell(script, kind="Job", **fields)


def ended(reconciler: Instance, name: str) -> Json:
    """Wait until a container has ended; return its item."""

    def look() -> Json | None:
        item = reconciler.items().get(name, {})
        return item if item.get("pid") is None and item.get("lastExit") else None

    found = wait_until(look, f"{name} ends")
    assert found is not None
    return found


def test_a_job_runs_once_and_again_when_its_spec_changes(reconciler: Instance) -> None:
    reconciler.write("hello.yaml", job("echo first"))
    reconciler.apply()
    assert ended(reconciler, "hello")["lastExit"]["code"] == 0
    assert reconciler.is_converged()
    reconciler.apply()
    assert reconciler.logs("hello") == ["first"]
    reconciler.write("hello.yaml", job("echo second"))
    reconciler.run("plan", reconciler.source, "--detailed-exitcode", exits=2)
    reconciler.apply()
    wait_until(lambda: reconciler.logs("hello")[-1:] == ["second"], "it runs again")
    ended(reconciler, "hello")
    reconciler.apply()
    assert reconciler.logs("hello")[-2:] in (["first", "second"], ["second"])
    assert reconciler.item("hello")["kind"] == "Job"


def test_what_is_no_part_of_its_run_does_not_run_a_job_again(reconciler: Instance) -> None:
    reconciler.write("hello.yaml", job("echo once"))
    reconciler.apply()
    ended(reconciler, "hello")
    reconciler.write("hello.yaml", job("echo once", labels={"a": "b"}))
    reconciler.apply()
    assert reconciler.is_converged()
    assert reconciler.logs("hello") == ["once"]


def test_a_failed_job_is_not_run_again_but_shown(reconciler: Instance) -> None:
    reconciler.write("hello.yaml", job("echo oops >&2; exit 3"))
    reconciler.apply(exits=None)
    assert ended(reconciler, "hello")["lastExit"]["code"] == 3
    reconciler.apply(exits=None)
    assert reconciler.logs("hello") == ["oops"]
    assert "3" in reconciler.run("status").out


def test_a_job_with_on_failure_is_tried_again_until_it_ends_well(reconciler: Instance) -> None:
    mounts = [{"type": "bind", "source": str(reconciler.base / "d"), "target": "/tmp/d"}]
    (reconciler.base / "d").mkdir()
    (reconciler.base / "d").chmod(0o777)
    script = "echo x >> /tmp/d/n; [ $(wc -l < /tmp/d/n) -ge 3 ]"
    policy = {"policy": "on-failure", "backoff": {"initial": "50ms"}}
    reconciler.write("hello.yaml", job(script, mounts=mounts, restart=policy))
    with reconciler.watching():
        wait_until(
            lambda: (reconciler.items().get("hello", {}).get("lastExit") or {}).get("code") == 0,
            "it ends well",
        )
    assert (reconciler.base / "d/n").read_text().count("x") == 3
    assert reconciler.item("hello")["restarts"] == 2


@pytest.mark.parametrize(
    ("policy", "script", "is_restarted"),
    [
        ("always", "echo run", True),
        ("always", "echo run; exit 1", True),
        ("on-failure", "echo run", False),
        ("on-failure", "echo run; exit 1", True),
        ("on-failure", "echo run; kill -9 $$; exec python3 -c 'import os; os.abort()'", True),
        ("never", "echo run; exit 1", False),
    ],
)
def test_the_policy_decides_what_is_restarted(
    reconciler: Instance, policy: str, script: str, is_restarted: bool
) -> None:
    restart = {"policy": policy, "backoff": {"initial": "1ms", "max": "1ms"}}
    reconciler.write("web.yaml", shell(script, restart=restart))
    with reconciler.watching(reconciler.source, "--interval", "100ms"):
        if is_restarted:
            wait_until(lambda: reconciler.items().get("web", {}).get("restarts", 0) >= 2, "again")
        else:
            ended(reconciler, "web")
            reconciler.write("marker.yaml", shell("exec sleep inf"))
            reconciler.wait_for("marker", state="running")
    if not is_restarted:
        item = reconciler.item("web")
        assert item["restarts"] == 0
        assert item["state"] == ("failed" if "exit 1" in script else "completed")
        assert reconciler.logs("web") == ["run"]
        assert reconciler.is_converged()


def test_waits_between_restarts_grow_by_the_factor_up_to_the_most(reconciler: Instance) -> None:
    backoff = {"initial": "200ms", "factor": 2, "max": "500ms"}
    reconciler.write("web.yaml", shell("echo run; exit 1", restart={"backoff": backoff}))
    with reconciler.watching():
        wait_until(lambda: len(reconciler.logs("web")) >= 5, "five runs") if wait_until(
            lambda: "web" in reconciler.items(), "web exists"
        ) else None
    lines = reconciler.logs("web", "--timestamps")[:5]
    times = [datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")) for line in lines]
    waits = [(after - before).total_seconds() for before, after in pairwise(times)]
    for wait_s, least_s in zip(waits, (0.2, 0.4, 0.5, 0.5), strict=True):
        assert least_s <= wait_s < least_s + 0.4, waits


def test_one_shot_apply_respects_the_wait_and_says_when_it_is_over(reconciler: Instance) -> None:
    restart = {"backoff": {"initial": "1h", "max": "1h"}}
    reconciler.write("web.yaml", shell("echo run; exit 7", restart=restart))
    reconciler.apply()
    item = ended(reconciler, "web")
    assert item["lastExit"]["code"] == 7
    assert item["lastExit"]["signal"] is None
    assert item["lastExit"]["oom"] is False
    result = reconciler.apply(exits=None)
    assert reconciler.item("web")["restarts"] == 0
    assert "web" in result.text
    reconciler.write("web.yaml", shell("echo better; exec sleep inf", restart=restart))
    reconciler.apply()
    assert reconciler.item("web")["state"] == "running"


def test_out_of_memory_is_shown_as_such(reconciler: Instance) -> None:
    eat = "x = bytearray(100 << 20); print(len(x))"
    spec = shell("", command=["/usr/bin/python3", "-c", eat], restart={"policy": "never"})
    limits = {"memory": {"max": "24Mi"}}
    reconciler.write("web.yaml", spec | {"resources": limits})
    reconciler.apply()
    last = ended(reconciler, "web")["lastExit"]
    assert last["oom"] is True
    assert last["signal"] == 9
    assert "memory" in reconciler.run("status").out.lower() or "oom" in (
        reconciler.run("status").out.lower()
    )
