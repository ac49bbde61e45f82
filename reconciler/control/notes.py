"""What control notes in a container's record, and how: the only place that knows the keys.

    reconciler/spec      the Spec it was last made equal to, without its Config, as JSON
    reconciler/restarts  the RestartMemory, as JSON
    reconciler/stopped   which run the reconciler ended itself: `BOOT-ID PID START-TICKS` of its
                         init; a start that fails leaves that the last run, a new run is another
    reconciler/generation  which of the specs that it has had that is: 1, 2, ...
    reconciler/suspend   the Suspend that a user commanded, as JSON
    reconciler/paused    when a user paused it by command: wall-clock seconds
    reconciler/runs      by name, when each dependency that it restarts with had been started
    reconciler/frozen    since when it is frozen as no file names it: wall-clock seconds

Called by observe, execute and by_hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from reconciler.model.codec import from_dict, to_compact
from reconciler.model.config import Config
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.spec import Origin, Spec, Suspend
from reconciler.model.world import RestartMemory

SPEC = "reconciler/spec"
RESTARTS = "reconciler/restarts"
STOPPED = "reconciler/stopped"
GENERATION = "reconciler/generation"
SUSPEND = "reconciler/suspend"
PAUSED = "reconciler/paused"
RUNS = "reconciler/runs"
FROZEN = "reconciler/frozen"


def encode_spec(spec: Spec) -> dict[str, str]:
    """Return the annotations that say which spec a container is equal to."""
    compact = to_compact(spec)
    del compact["config"]
    return {SPEC: _dump(compact)}


def encode_memory(memory: RestartMemory) -> dict[str, str]:
    """Return the annotations that keep the memory of restarts."""
    return {RESTARTS: _dump(to_compact(memory))}


def encode_stopped(record: Record) -> dict[str, str]:
    """Return the annotations that say that the reconciler itself ends the present run."""
    return {STOPPED: _run_of(record)}


def encode_generation(spec: Spec, before: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations that number a spec: one more than `before` had for another spec."""
    number = decode_generation(before)
    return {GENERATION: str(number if _noted_digest(before) == spec.digest else number + 1)}


def decode_generation(annotations: Mapping[str, str]) -> int:
    """Return the number of the spec that is noted; 0 where none was numbered."""
    text = annotations.get(GENERATION, "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _noted_digest(annotations: Mapping[str, str]) -> str | None:
    try:
        digest = json.loads(annotations.get(SPEC, "{}")).get("digest")
    except (ValueError, AttributeError):
        return None
    return digest if GENERATION in annotations and isinstance(digest, str) else None


def decode_spec(name: str, annotations: Mapping[str, str], config: Config) -> Spec | None:
    """Return the spec with `config` as its Config, None where the reconciler noted none.

    A note of another version that does not fit is taken for its origin alone, so that the diff
    finds, and an update rewrites, what is not as it should be.
    """
    try:
        return replace(_decode_noted(name, annotations[SPEC]), config=config)
    except (ValueError, TypeError, KeyError):
        return None


def _decode_noted(name: str, text: str) -> Spec:
    """Return the spec without its Config. Raises: ValueError, TypeError or KeyError."""
    noted = json.loads(text)
    file = str(noted["origin"]["file"])
    try:
        return from_dict(Spec, noted | {"config": {"command": []}})
    except (ValueError, TypeError):
        config = Config(command=())
        return Spec(name=name, config=config, origin=Origin(file=file), digest="")


def decode_memory(record: Record) -> RestartMemory:
    """Return the memory of restarts; a new one where there is none that can be read."""
    annotations = record.annotations
    try:
        memory = _decode_memory(annotations.get(RESTARTS, "{}"))
    except (ValueError, TypeError):
        memory = RestartMemory()
    is_stopped = record.init is not None and annotations.get(STOPPED) == _run_of(record)
    return replace(memory, is_stopped=True) if is_stopped else memory


def _run_of(record: Record) -> str:
    init = record.init
    return "" if init is None else f"{init.boot_id} {init.pid} {init.start_ticks}"


def _decode_memory(text: str) -> RestartMemory:
    return from_dict(RestartMemory, json.loads(text))


def encode_suspend(suspend: Suspend | None) -> dict[str, str | None]:
    """Return the annotations that suspend a container, or with None no more."""
    return {SUSPEND: None if suspend is None else _dump(to_compact(suspend))}


def encode_paused(at: float | None) -> dict[str, str | None]:
    """Return the annotations for paused by hand at `at`, or with None no more."""
    return {PAUSED: None if at is None else _dump(at)}


def encode_frozen(at: float | None) -> dict[str, str | None]:
    """Return the annotations for frozen since `at`, or with None no more."""
    return {FROZEN: None if at is None else _dump(at)}


def encode_runs(runs: Mapping[str, float | None]) -> dict[str, str | None]:
    """Return the annotations for the runs of dependencies; without any, none."""
    return {RUNS: _dump(dict(runs)) if runs else None}


def decode_runs(annotations: Mapping[str, str]) -> dict[str, float | None]:
    """Return the runs of dependencies that are noted, none where that cannot be read."""
    try:
        runs = json.loads(annotations.get(RUNS, "{}"))
        return {name: None if run is None else float(run) for name, run in runs.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def decode_suspend(annotations: Mapping[str, str]) -> Suspend | None:
    """Return the suspension by command; one without an end where it cannot be read."""
    if SUSPEND not in annotations:
        return None
    try:
        return from_dict(Suspend, json.loads(annotations[SUSPEND]))
    except (ValueError, TypeError):
        return Suspend(reason="its note cannot be understood")


def decode_paused(annotations: Mapping[str, str]) -> float | None:
    """Return when it was paused by hand, None when it was not."""
    try:
        return _moment(annotations, PAUSED)
    except ValueError:
        return 0.0


def decode_frozen(annotations: Mapping[str, str]) -> float | None:
    """Return since when it is frozen; None where it is not, or that cannot be read."""
    try:
        return _moment(annotations, FROZEN)
    except ValueError:
        return None


def _moment(annotations: Mapping[str, str], key: str) -> float | None:
    return float(annotations[key]) if key in annotations else None


def _dump(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
