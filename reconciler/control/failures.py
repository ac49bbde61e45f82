"""The memory of actions that failed: `RUN_DIR/failures.json`, for backoff and for `status`.

Read with each observation, written after each execution, by the holder of the reconciler's
lock. It is a hint: without it a failed action is only tried again sooner.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping

from reconciler.control.json_file import replace_json
from reconciler.control.outcome import Outcome
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.model.action import Plan
from reconciler.model.codec import from_dict, to_dict
from reconciler.model.world import Desired, Failure, Problem, World

FILE = "failures.json"


def read_failures(run_dir: str) -> dict[str, Failure]:
    """Return the failures by container name; none when there is no file.

    Raises: RecordCorrupt, PermissionDenied, SystemError.
    """
    path = os.path.join(run_dir, FILE)
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read())
        return {name: from_dict(Failure, item) for name, item in data.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise from_os_error(error, "cannot read the list of failures", path=path) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ReconcilerError(
            ErrorCode.RecordCorrupt,
            f"cannot understand the list of failures: {error!s:.100}",
            path=path,
        ) from error


def write_failures(run_dir: str, failures: Mapping[str, Failure]) -> None:
    """Replace the file, or remove it when there is no failure.

    Raises: NoSpace, PermissionDenied, SystemError.
    """
    path = os.path.join(run_dir, FILE)
    try:
        if not failures:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        replace_json(path, to_dict(dict(failures)))
    except OSError as error:
        raise from_os_error(error, "cannot write the list of failures", path=path) from error


def standing_failures(desired: Desired, world: World, plan: Plan) -> dict[str, Failure]:
    """Return the failures but those of containers that are as they should be by now.

    An action may fail when its work is done already: there is nothing left that could succeed.
    """
    open_names = {one.name for one in (*plan.actions, *plan.waits)} | plan.suspended.keys()
    open_names |= {problem.spec_name for problem in plan.problems if problem.spec_name}
    valid = desired.specs.keys() - desired.invalid
    settled = (valid & world.containers.keys()) - open_names
    return {name: failure for name, failure in world.failures.items() if name not in settled}


def next_failures(
    before: Mapping[str, Failure], outcomes: Iterable[Outcome], known: Collection[str], now: float
) -> dict[str, Failure]:
    """Return the failures after `outcomes`, of the names that are still `known`."""
    after = dict(before)
    for outcome in outcomes:
        name = outcome.action.name
        if outcome.error is None:
            after.pop(name, None)
        else:
            after[name] = _failure(before.get(name), outcome, outcome.error, now)
    return {name: failure for name, failure in after.items() if name in known}


def _failure(
    before: Failure | None, outcome: Outcome, error: ReconcilerError, now: float
) -> Failure:
    digest = outcome.action.spec.digest
    is_again = before is not None and before.spec_digest == digest
    return Failure(
        verb=outcome.action.verb,
        spec_digest=digest,
        count=before.count + 1 if before is not None and is_again else 1,
        at=now,
        problem=Problem.from_error(error),
    )
