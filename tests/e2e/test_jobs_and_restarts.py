"""Jobs run once and again on change; what ends is restarted as its policy says."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

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


POLICIES = {
    "always-0": ("always", "echo run", True),
    "always-1": ("always", "echo run; exit 1", True),
    "failure-0": ("on-failure", "echo run", False),
    "failure-1": ("on-failure", "echo run; exit 1", True),
    "failure-signal": ("on-failure", "echo run; ulimit -t 0; while :; do :; done", True),
    "never-1": ("never", "echo run; exit 1", False),
}


def test_the_policy_decides_what_is_restarted(reconciler: Instance) -> None:
    again = {name for name, (_, _, is_restarted) in POLICIES.items() if is_restarted}
    for name, (policy, script, _) in POLICIES.items():
        restart = {"policy": policy, "backoff": {"initial": "50ms", "factor": 1}}
        reconciler.write(f"{name}.yaml", shell(script, restart=restart))

    def have_come_back() -> bool:
        items = reconciler.items()
        return all(items.get(name, {"restarts": 0})["restarts"] >= 2 for name in again)

    with reconciler.watching(reconciler.source, "--interval", "300ms"):
        wait_until(have_come_back, "those that are to be restarted were, twice", 30)
    items = reconciler.items()
    for name in set(POLICIES) - again:
        assert items[name]["restarts"] == 0
        assert items[name]["pid"] is None
        assert items[name]["state"] == ("failed" if name.endswith("1") else "completed")
        assert reconciler.logs(name) == ["run"]


def test_waits_between_restarts_grow_by_the_factor_up_to_the_most(reconciler: Instance) -> None:
    backoff = {"initial": "200ms", "factor": 2, "max": "500ms"}
    reconciler.write("web.yaml", shell("echo run; exit 1", restart={"backoff": backoff}))
    with reconciler.watching():
        reconciler.wait_for("web", restarts=5)
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
