"""Steps with their system calls made ready before the clone.

Called by the launch. Most steps have `prepare(context)`, which adds their system calls to
`context.calls`; in the child nothing is left to do but to make them. The others have
`execute(context)`, Python code for the child. What was made ready is kept, as most steps of the
next container are the same. A step that names numbers of the context's descriptors, which differ
with each launch, has `prepare_anew(context)` instead.
"""

from __future__ import annotations

import marshal
import os

from reconciler.lean import Any, NamedTuple, Protocol, Sequence, cast
from reconciler.linux.calls import OWN_SLOTS, Calls, Chain, Ready
from reconciler.monitor.steps import Step
from reconciler.monitor.steps.context import Context

_KEPT_MOST = 128


class _Preparable(Protocol):
    def prepare(self, context: Context) -> None: ...


class _Foreseeing(Protocol):
    def foresee(self, context: Context) -> None: ...


class Part(Protocol):
    """A part of the program for the child: a step, or several that are prepared."""

    def execute(self, context: Context) -> None:
        """Do it. Raises: OSError."""
        ...


class _Kept(NamedTuple):
    """What a step has made of a context: calls, and where descriptors are by then."""

    ready: Ready
    shared: dict[tuple[str, str], int]
    anchored: list[str]


_kept: dict[bytes, _Kept] = {}


class Prepared:
    """Steps in a row whose calls are ready."""

    def __init__(self, steps: list[Step], context: Context) -> None:
        """Prepare the steps. Raises: OSError for what cannot be prepared."""
        self._steps = steps
        self._chain = Chain([_make_ready(step, context) for step in steps])

    def execute(self, context: Context) -> None:
        """Make the calls. Raises: OSError."""
        holders = {"trees": context.trees, "anchors": context.anchors}
        fds = context.fds = [-1] * (OWN_SLOTS + len(context.shared))
        for (name, key), slot in context.shared.items():
            fds[slot] = holders[name].pop(key, -1)
        self._chain.make(fds, context)
        for (name, key), slot in context.shared.items():
            if fds[slot] >= 0:
                holders[name][key] = fds[slot]

    def step_at_fault(self) -> Step:
        """Return the step whose call has failed."""
        return self._steps[self._chain.part_at_fault()]


def prepare_steps(steps: Sequence[Step], context: Context) -> list[Part]:
    """Return what is to be executed in the child for these steps, in their order.

    Raises: OSError for what cannot be prepared.
    """
    program: list[Part] = []
    ready: list[Step] = []
    for step in steps:
        if hasattr(step, "prepare") or hasattr(step, "prepare_anew"):
            ready.append(step)
            continue
        if ready:
            program.append(Prepared(ready, context))
            ready = []
        program.append(cast(Part, step))
        if hasattr(step, "foresee"):
            cast(_Foreseeing, step).foresee(context)
    return [*program, Prepared(ready, context)] if ready else program


def execute_here(steps: Sequence[Step], context: Context) -> None:
    """Execute steps in this process, one by one: what a failed one has opened does not stay.

    Raises: OSError.
    """
    for step in steps:
        for part in prepare_steps([step], context):
            try:
                part.execute(context)
            except OSError:
                for fd in context.fds:
                    if fd >= 0:
                        os.close(fd)
                raise


def step_at_fault(part: Part) -> Step:
    """Return the step that a part of the program was at when it failed."""
    return part.step_at_fault() if isinstance(part, Prepared) else cast(Step, part)


def _make_ready(step: Step, context: Context) -> Ready:
    """Return the calls of a step in this context, those of an equal one if there was one."""
    if hasattr(step, "prepare_anew"):
        context.calls = Calls()
        step.prepare_anew(context)
        return context.calls.finish()
    fields = cast(Sequence[Any], step)
    where = [context.anchored, list(context.shared.items())]
    key = marshal.dumps([type(step).__name__, *fields, *where])
    kept = _kept.pop(key, None)
    if kept is None:
        if len(_kept) >= _KEPT_MOST:
            del _kept[next(iter(_kept))]  # the one that was asked for longest ago
        blind = Context(-1, ())  # what is kept must not depend on numbers of descriptors
        blind.shared, blind.anchored = context.shared, context.anchored
        cast(_Preparable, step).prepare(blind)
        kept = _Kept(blind.calls.finish(), dict(blind.shared), list(blind.anchored))
    _kept[key] = kept
    context.shared, context.anchored = dict(kept.shared), list(kept.anchored)
    return kept.ready
