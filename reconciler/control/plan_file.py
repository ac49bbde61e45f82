"""A plan kept in a file: what was to be done, and what the world was like when that was found.

Written by `reconciler plan --out`, read by `reconciler apply --plan`. The file holds the actions
to show and to compare, and fingerprints (digests, since values may be secret) of every spec and
of the containers that the actions are for. It is for its owner alone.

    {"version": 1, "runDir", "stateDir", "cgroupParent", "sources": [...], "options": {...},
     "actions": [{action, name, reason, changes}],
     "specs": {name: digest}, "desired": {name: {field: digest}},
     "observed": {name: {fact: digest}}}
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.model.action import Action, Plan
from reconciler.model.codec import digest, to_dict
from reconciler.model.frozen import frozen, replace
from reconciler.model.spec import Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.fields import FIELDS
from reconciler.planning.plan import PlanOptions

VERSION = 1

Digests = Mapping[str, str]
ActionJson = Mapping[str, Any]


@frozen
class Instance:
    """Which directories and sources a plan was made for; all absolute."""

    run_dir: str
    state_dir: str
    cgroup_parent: str | None
    sources: tuple[str, ...]


@frozen
class SavedPlan:
    """A plan and its fingerprints, as the file has them."""

    instance: Instance
    options: PlanOptions
    actions: tuple[ActionJson, ...]
    specs: Digests
    desired: Mapping[str, Digests]
    observed: Mapping[str, Digests]

    @classmethod
    def of(cls, report: PassReport, instance: Instance, options: PlanOptions) -> SavedPlan:
        """Return what is to be kept of a report."""
        names = {action.name for action in report.plan.actions}
        return cls(
            instance=instance,
            options=options,
            actions=tuple(map(_action_json, report.plan.actions)),
            specs=_all_specs(report),
            desired={name: _desired(report, name) for name in sorted(names)},
            observed={name: _observed(report, name) for name in sorted(names)},
        )

    def select(self, report: PassReport) -> Plan:
        """Return the plan of exactly the actions that were saved.

        Raises: PlanStale when what is desired or observed is no longer what it was.
        """
        stale = self._find_stale(report)
        if stale is not None:
            raise ReconcilerError(
                ErrorCode.PlanStale,
                f"cannot apply the plan: {stale}; make a new one with `reconciler plan --out FILE`",
                operation="apply",
            )
        names = {str(action["name"]) for action in self.actions}
        kept = tuple(action for action in report.plan.actions if action.name in names)
        return replace(report.plan, actions=kept)

    def _find_stale(self, report: PassReport) -> str | None:
        for name in self.desired:
            for before, after, what in (
                (self.desired[name], _desired(report, name), "file"),
                (self.observed[name], _observed(report, name), "container"),
            ):
                how = _compare(before, after)
                if how is not None:
                    return f"the {what} {name} {how}"
        specs = _all_specs(report)
        for name in sorted(specs.keys() | self.specs.keys()):
            if specs.get(name) != self.specs.get(name):
                how = "has changed" if name in specs and name in self.specs else "has come or gone"
                return f"the file {name} {how} since"
        return self._find_other_action(report)

    def _find_other_action(self, report: PassReport) -> str | None:
        """Return what only the time that has passed can have changed."""
        now = {action.name: action for action in report.plan.actions}
        names = {str(saved["name"]) for saved in self.actions}
        for saved in self.actions:
            action = now.get(str(saved["name"]))
            if action is None or _essence(_action_json(action)) != _essence(saved):
                return f"to {saved['action']} {saved['name']} is no longer what is to be done"
            missing = set(action.after) - names
            if missing:
                return f"{sorted(missing)[0]} is to come before {action.name}, and was not planned"
        return None


def write_plan(path: str, plan: SavedPlan) -> None:
    """Write the file, at once or not at all, mode 0600.

    Raises: NoSpace, PermissionDenied, SystemError.
    """
    instance = plan.instance
    data = {
        "version": VERSION,
        "runDir": instance.run_dir,
        "stateDir": instance.state_dir,
        "cgroupParent": instance.cgroup_parent,
        "sources": list(instance.sources),
        "options": to_dict(plan.options),
        "actions": plan.actions,
        "specs": plan.specs,
        "desired": plan.desired,
        "observed": plan.observed,
    }
    temporary = None
    try:
        fd, temporary = tempfile.mkstemp(prefix=".plan-", dir=os.path.dirname(path) or ".")
        with os.fdopen(fd, "w") as stream:
            json.dump(data, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise from_os_error(error, f"cannot write the plan to {path}", path=path) from error


def read_plan(path: str) -> SavedPlan:
    """Return what the file holds. Raises: PlanFileInvalid, PermissionDenied, SystemError."""
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read())
        if not isinstance(data, dict) or "version" not in data:
            raise _invalid(path, "it is no plan of `reconciler plan --out`")
        if data["version"] != VERSION:
            raise _invalid(path, f"it has version {data['version']!r}, this program {VERSION}")
        return _decode(data)
    except OSError as error:
        raise from_os_error(error, f"cannot read the plan {path}", path=path) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _invalid(path, f"it is damaged ({error!s:.80})") from error


def _decode(data: dict[str, Any]) -> SavedPlan:
    instance = Instance(
        run_dir=_text(data["runDir"]),
        state_dir=_text(data["stateDir"]),
        cgroup_parent=None if data["cgroupParent"] is None else _text(data["cgroupParent"]),
        sources=tuple(map(_text, data["sources"])),
    )
    for one in data["actions"]:
        if not {"action", "name", "changes"} <= one.keys():
            raise ValueError("an action without a name")
    names = {one["name"] for one in data["actions"]}
    if names != data["desired"].keys() or names != data["observed"].keys():
        raise ValueError("the fingerprints are not those of its actions")
    return SavedPlan(
        instance=instance,
        options=PlanOptions(**data["options"]),
        actions=tuple(data["actions"]),
        specs=dict(data["specs"]),
        desired={name: dict(fields) for name, fields in data["desired"].items()},
        observed={name: dict(facts) for name, facts in data["observed"].items()},
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.50} is no text")
    return value


def _invalid(path: str, why: str) -> ReconcilerError:
    message = f"cannot use the plan {path}: {why}; make a new one with `reconciler plan --out FILE`"
    return ReconcilerError(ErrorCode.PlanFileInvalid, message, path=path, operation="apply")


def _compare(before: Digests, after: Digests) -> str | None:
    """Return how one is no longer as it was, None when it is."""
    if before == after:
        return None
    if not before or not after:
        return "has gone since" if before else "has come since"
    fields = [one for one in {**before, **after} if before.get(one) != after.get(one)]
    more = f" and {len(fields) - 5} more" if len(fields) > 5 else ""
    return f"has changed since: {', '.join(fields[:5])}{more}"


def _action_json(action: Action) -> ActionJson:
    plain: ActionJson = json.loads(json.dumps(action.to_json()))
    return plain


def _essence(action: ActionJson) -> tuple[Any, Any]:
    return action["action"], action["changes"]


def _all_specs(report: PassReport) -> Digests:
    return {name: spec.digest for name, spec in sorted(report.desired.specs.items())}


def _desired(report: PassReport, name: str) -> Digests:
    spec: Spec | None = report.desired.specs.get(name)
    if spec is None:
        return {}
    values = (row.values(spec, spec) for row in FIELDS)
    return {path: _digest(value) for row in values for path, value, _ in row}


def _observed(report: PassReport, name: str) -> Digests:
    trouble = report.world.unobserved.get(name)
    if trouble is not None:
        return {"record": _digest(trouble.code)}
    observed = report.world.containers.get(name)
    return {} if observed is None else {key: _digest(one) for key, one in _facts(observed).items()}


def _facts(observed: Observed) -> dict[str, Any]:
    """Return all that a plan depends on; the more of it, the smaller the surprise."""
    status = Status.PAUSED if observed.status is Status.PAUSING else observed.status
    spec = observed.spec
    return {
        "state": status,
        "pid": (observed.pid, observed.started_at),
        "last exit": observed.last_exit,
        "recorded spec": None if spec is None else (spec.digest, spec.origin.file),
        "recorded config": observed.config,
        "restarts": observed.memory,
        "suspension": observed.suspend,
        "pause by hand": observed.paused_at,
        "frozen since": observed.frozen_at,
        "foreign processes": observed.strangers,
        "cgroup": observed.has_cgroup,
        "unmounted": observed.unmounted,
        **observed.limits,
        **observed.process,
    }


def _digest(value: Any) -> str:  # noqa: ANN401  (any value of the model)
    return digest(to_dict(value))


def absolute(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the sources as they are kept: absolute, but with links as they are."""
    return tuple(map(os.path.abspath, sources))
