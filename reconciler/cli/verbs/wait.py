"""`reconciler wait`: waits until containers are in a state, or have a condition."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.cli.arguments import Parser, duration_s
from reconciler.cli.instance import configure_logs, make_engine
from reconciler.cli.look import look_at_all
from reconciler.cli.output import GREEN, RED, emit, emit_data, styled

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

EXAMPLES = """\
  reconciler wait web --for running --timeout 10s
  reconciler wait web --for Ready                 # its startup and readiness probes pass
  reconciler wait web db --for Running            # a condition, as `status --output json` shows it
  reconciler wait web --for Progressing=False     # nothing is left to be done
  reconciler wait backup --for completed && reconciler logs backup
  reconciler wait web --for destroyed

It exits 0 once all are so at the same time, and 1 when the time is over. A name that nothing
knows yet is waited for too."""

STATES = ("running", "paused", "stopped", "completed", "failed", "suspended", "destroyed")
_LOOK_S = 0.1


class Wanted(NamedTuple):
    """A state, or a condition with its status (True, False, Unknown)."""

    text: str
    state: str | None
    condition: str = ""
    status: str = "True"

    def is_met(self, item: dict[str, Any] | None) -> bool:
        """Tell whether an item of `status` is so; None is one that is not there."""
        if item is None:
            return self.state == "destroyed"
        if self.state is not None:
            return bool(self.state == item["state"])
        shown = {condition["type"]: condition["status"] for condition in item["conditions"]}
        return bool(shown.get(self.condition) == self.status)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, what for and how long."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")
    parser.add_argument(
        "--for",
        dest="wanted",
        metavar="CONDITION",
        type=_wanted,
        required=True,
        help=f"a state ({', '.join(STATES)}) or a condition (Running, Valid=False ...)",
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=duration_s,
        default=30.0,
        help="wait no longer than this (default: 30s)",
    )


def run(args: argparse.Namespace) -> int:
    """Wait, and tell how each one is. Raises: Usage for a condition that there is none of."""
    configure_logs(args, is_told_on_stdout=True)
    names = list(dict.fromkeys(args.names))
    items = _wait(make_engine(args), names, args.wanted, args.timeout)
    met = {name: args.wanted.is_met(items.get(name)) for name in names}
    if args.output != "table":
        rows = [_to_json(name, args.wanted, items.get(name)) for name in names]
        emit_data({"items": rows}, args.output)
    else:
        for name in names:
            _show(name, args.wanted, items, args.timeout)
    return 0 if all(met.values()) else 1


def _wait(
    engine: Engine, names: list[str], wanted: Wanted, timeout_s: float
) -> dict[str, dict[str, Any]]:
    """Look until all are as wanted or the time is over; return the last look, by name.

    Between two looks lie 100 ms, or twice what a look costs where there is very much to see.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        begun = time.monotonic()
        items = _look(engine)
        _check_condition(wanted, [items[name] for name in names if name in items])
        if all(wanted.is_met(items.get(name)) for name in names):
            return items
        now = time.monotonic()
        if now >= deadline:
            return items
        time.sleep(min(max(_LOOK_S, 2 * (now - begun)), deadline - now))


def _look(engine: Engine) -> dict[str, dict[str, Any]]:
    """Return the items of `status`; what only failed to be made is in no source, but known."""
    from reconciler.control.status import status_items

    return {item["name"]: item for item in status_items(look_at_all(engine))}


def _check_condition(wanted: Wanted, items: list[dict[str, Any]]) -> None:
    known = {condition["type"] for item in items for condition in item["conditions"]}
    if wanted.state is None and known and wanted.condition not in known:
        Parser(prog="reconciler wait").error(
            f"there is no condition {wanted.condition!r}; there are {', '.join(sorted(known))}"
        )


def _show(name: str, wanted: Wanted, items: dict[str, Any], timeout_s: float) -> None:
    item = items.get(name)
    if wanted.is_met(item):
        emit(styled(f"{name} is {wanted.text}", GREEN))
        return
    how = _absent(name, items) if item is None else _describe(item)
    emit(styled(f"! {name} is not {wanted.text} after {timeout_s:g} s: {how}", RED))


def _absent(name: str, items: dict[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, items, n=1)
    return "it does not exist" + (f"; did you mean {near[0]}?" if near else "")


def _describe(item: dict[str, Any]) -> str:
    """Return the state and all that its conditions have to say."""
    messages = (condition["message"] for condition in item["conditions"])
    return "; ".join([f"it is {item['state']}", *dict.fromkeys(filter(None, messages))])


def _to_json(name: str, wanted: Wanted, item: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "for": wanted.text,
        "met": wanted.is_met(item),
        "state": "destroyed" if item is None else item["state"],
        "conditions": [] if item is None else item["conditions"],
    }


def _wanted(text: str) -> Wanted:
    """Return what is waited for, given as `running`, `Running` or `Valid=False`."""
    if text in STATES:
        return Wanted(text, text)
    name, equals, status = text.partition("=")
    if not equals:
        status = "True"
    if text[:1].isupper() and name.isalpha() and status in ("True", "False", "Unknown"):
        return Wanted(text, None, name, status)
    from difflib import get_close_matches

    near = get_close_matches(text.lower(), STATES, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; states are {', '.join(STATES)}"
    raise argparse.ArgumentTypeError(f"{text!r} is neither a state nor a condition{hint}")
