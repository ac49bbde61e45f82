"""The facts of `why` for people: one screen, what is wrong before what is only so.

Called by `why`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from reconciler.cli.output import DIM, GREEN, RED, YELLOW, emit, format_age, plural, styled
from reconciler.cli.usage import size, spell_pressure
from reconciler.cli.why_probes import probe_rows

Facts = dict[str, Any]

_WIDTH = 10
_STYLES = {"running": GREEN, "completed": DIM, "stopped": DIM, "failed": RED, "invalid": RED}
_NOTHING_NEXT: dict[str, str] = {
    "completed": "nothing: it has done its work; it runs again when its file changes, or by "
    "`reconciler restart {name}`",
    "failed": "nothing by itself: restart.policy is {policy}; correct its file, or "
    "`reconciler restart {name}`",
    "stopped": "nothing: it is to be stopped; `state: running` in its file starts it",
    "paused": "nothing: it is to be paused; `state: running` in its file resumes it",
    "invalid": "nothing until its file is repaired",
    "suspended": "nothing while it is suspended",
}
_SHOWN_OTHERWISE = frozenset({"Valid", "Running", "Ready", "Progressing", "Drifted"})


def show_facts(facts: Facts, now: float) -> None:
    """Print the facts; `now` is wall-clock seconds."""
    for title, text in _rows(facts, now):
        emit(f"{title:{_WIDTH}}{text}")
    if facts["log"]:
        emit("log")
        for line in facts["log"]:
            emit(f"  {line['time'][11:19]} {line['text']}")
    emit(f"{'next':{_WIDTH}}{what_next(facts, now)}")


def _rows(facts: Facts, now: float) -> Iterator[tuple[str, str]]:
    state = facts["state"]
    kind = facts["kind"] or "Container"
    yield (
        facts["name"],
        f"{kind}, " + styled(state, _STYLES.get(state, YELLOW)) + _since(facts, now),
    )
    if facts["file"] or state != "invalid":
        yield "file", facts["file"] or "none: no file that was looked at names it"
    if facts["command"]:
        yield "command", shlex.join(facts["command"])
    for problem in facts["problems"]:
        yield "problem", styled(_spell_problem(problem), RED)
    if failure := facts["failure"]:
        times = "" if failure["count"] == 1 else f", {failure['count']} times in a row"
        ago = _ago(failure["at"], now)
        yield "failed", styled(failure["message"], RED) + f" ({failure['name']}, {ago}{times})"
    if last := facts["lastExit"]:
        yield "last exit", f"{last['text']}, {_ago(last['at'], now)}"
    yield from probe_rows(facts, now)
    for condition in facts["conditions"]:
        if condition["type"] not in _SHOWN_OTHERWISE and condition["message"]:
            yield condition["type"].lower(), condition["message"]
    yield from _figures(facts)
    for change in facts["drift"]:
        yield "drift", _spell_drift(change, now)
    if not facts["drift"] and state in ("running", "paused"):
        yield "drift", "none" if not facts["action"] else facts["action"]["reason"]


def _spell_drift(change: Facts, now: float) -> str:
    was, wanted = _spell(change["observed"]), _spell(change["desired"])
    since = change["since"]
    age = "" if since is None else f", for {format_age(now - _seconds(since))}"
    left = ", only reported" if change["policy"] == "report" else ""
    return f"{change['field']} is {was}, is to be {wanted} ({change['class']}{left}{age})"


def _since(facts: Facts, now: float) -> str:
    text = ""
    if facts.get("pid"):
        text += f" for {format_age(now - _seconds(facts['startedAt']))}, pid {facts['pid']}"
    if facts.get("restarts"):
        text += f", {plural(facts['restarts'], 'restart')}"
    return text


def _figures(facts: Facts) -> Iterator[tuple[str, str]]:
    figures = facts["figures"]
    if figures is None or not facts.get("pid"):
        return
    limit = size(figures["memoryLimitBytes"])
    memory = f"{size(figures['memoryBytes'])} of {limit or 'unlimited'}"
    if figures["memoryPeakBytes"]:
        memory += f", {size(figures['memoryPeakBytes'])} at most"
    if figures["oomKills"]:
        memory += f", {figures['oomKills']} killed for want of it"
    yield "memory", memory
    throttled = figures["cpuThrottledSeconds"]
    cpu = f"{figures['cpuSeconds']:.2f} s"
    yield "cpu", cpu + (f", held back by its limit for {throttled:.2f} s" if throttled else "")
    yield "tasks", f"{figures['tasks']} of {figures['tasksLimit'] or 'unlimited'}"
    if pressure := spell_pressure(facts["pressurePercent"]):
        yield "pressure", pressure


def what_next(facts: Facts, now: float) -> str:
    """Return what happens to it, when, and by whom."""
    if facts["wait"]:
        return _when_waited_for(facts, facts["wait"], now)
    for condition in facts["conditions"]:
        if condition["reason"] == "Orphaned":
            return f"nothing: {condition['message']}"
    if action := facts["action"]:
        verb, why = action["action"], action["reason"]
        return f"`reconciler apply`, or watch where it runs, will {verb} it: {why}"
    if facts["file"] is None and facts["state"] != "invalid":
        return "nothing: no file names it, so it is left alone; `reconciler destroy` removes it"
    if facts["state"] == "running":
        return _when_it_ends(facts)
    if facts["state"] == "paused" and facts["desiredState"] == "running":
        return _why_paused(facts)
    if facts["state"] == "failed" and (permanent := _permanent_code(facts)) is not None:
        return (
            f"nothing by itself: exit code {permanent} is one of restart.permanentExitCodes; "
            f"correct its file, or `reconciler restart {facts['name']}`"
        )
    text = _NOTHING_NEXT.get(facts["state"], "nothing")
    told: str = text.format(name=facts["name"], policy=facts["restartPolicy"])
    return told


def _permanent_code(facts: Facts) -> int | None:
    """Return the exit code after which it is not started again, whatever the policy."""
    code: int | None = (facts["lastExit"] or {}).get("code")
    is_its_own = facts["stoppedFor"] is None
    return code if is_its_own and code in facts["permanentExitCodes"] else None


def _when_waited_for(facts: Facts, wait: Facts, now: float) -> str:
    if wait["until"] is None:
        verb = "restarts" if facts.get("pid") else "starts"
        return f"{wait['reason']}; after that watch, or `reconciler apply`, {verb} it"
    left = format_age(max(0.0, _seconds(wait["until"]) - now))
    if wait["isRetry"]:
        return f"in {left} watch tries it again, `reconciler apply` at once"
    return f"in {left} watch goes on, or the first `reconciler apply` then: {wait['reason']}"


def _why_paused(facts: Facts) -> str:
    resume = f"`reconciler resume {facts['name']}` lets it run on"
    if facts["pausedByHand"]:
        return f"nothing: it was paused by hand; {resume}"
    return f"nothing: somebody froze it, and the drift policy of its file leaves that; {resume}"


def _when_it_ends(facts: Facts) -> str:
    if facts["kind"] == "Job":
        again = "" if facts["restartPolicy"] == "never" else "; after a failure it is run again"
        return f"it runs to its end{again}"
    ends = {"always": "started again when it ends", "on-failure": "started again when it fails"}
    kept = ends.get(facts["restartPolicy"], "not started again when it ends")
    return f"it is as its file says, and is {kept} (restart.policy {facts['restartPolicy']})"


def _spell(value: object) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_spell, value)) + "]"
    return "none" if value is None else str(value)


def _spell_problem(problem: Facts) -> str:
    place = ":".join(str(problem[key]) for key in ("file", "line", "column") if problem[key])
    parts = (place, problem["field"], problem["message"])
    return ": ".join(part for part in parts if part) + f" ({problem['name']} {problem['code']})"


def _ago(at: str, now: float) -> str:
    return f"{format_age(now - _seconds(at))} ago"


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
