"""What `doctor` asks about systemd: is it there, are our units, as this version writes them, up.

Called by `doctor`. It changes nothing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reconciler.cli.checks import FAIL, OK, WARN, Check

if TYPE_CHECKING:
    from reconciler.cli.units import Unit
    from reconciler.engine.engine import Engine


def check_systemd(engine: Engine) -> Iterator[Check]:
    """Yield the answers about the units of an instance."""
    from reconciler.cli.unit_files import read_unit, unit_dir
    from reconciler.cli.units import all_names, main_names
    from reconciler.engine.dirs import unit_name
    from reconciler.linux import systemd

    is_user = os.geteuid() != 0
    is_running = systemd.is_running(is_user=is_user)
    directory = unit_dir(is_user=is_user)
    texts = {
        name: text
        for name in all_names(unit_name(engine.run_dir))
        if (text := read_unit(directory, name)) is not None
    }
    if not texts:
        found = "runs; no units are installed" if is_running else "is not the init of this host"
        yield Check("systemd", OK, found)
        return
    if not is_running:
        found = f"units are installed in {directory}, and systemd does not run"
        yield Check("systemd", WARN, found, "start reconciler watch by other means")
        return
    yield from _units(directory, texts, main_names(unit_name(engine.run_dir)))
    for name in texts:
        yield from _state(name, is_user=is_user)
    if is_user:
        yield from _linger()


def _units(directory: str, texts: dict[str, str], mains: Sequence[str]) -> Iterator[Check]:
    """Compare the files with what the same command would write now."""
    from reconciler.cli.units import command_of, is_ours

    edited = [name for name, text in texts.items() if not is_ours(text)]
    for name in edited:
        how = f"keep changes in a drop-in: systemctl edit {name}; then reconciler install --force"
        yield Check(name, WARN, f"{directory}/{name} was edited", how)
    found_in = (command_of(texts[name]) for name in mains if name in texts)
    command = next((one for one in found_in if one is not None), None)
    if edited or command is None:
        return
    wanted = {unit.name: unit.text for unit in _wanted(command)}
    if wanted == texts:
        yield Check("unit files", OK, f"{len(texts)} in {directory}, as this version writes them")
        return
    found = f"those in {directory} are of another version or another interpreter"
    how = shlex.join(["reconciler", "install", *command])
    yield Check("unit files", WARN, found, how)


def _wanted(command: list[str]) -> list[Unit]:
    from reconciler.cli.arguments import parse
    from reconciler.cli.unit_setup import make_setup
    from reconciler.cli.units import make_units
    from reconciler.cli.verbs import install

    return make_units(make_setup(parse("install", install, command)))


def _state(name: str, *, is_user: bool) -> Iterator[Check]:
    from reconciler.cli.unit_files import ask_systemctl
    from reconciler.errors import ReconcilerError

    try:
        state = ask_systemctl(["is-active", name], is_user=is_user)
    except ReconcilerError as error:
        yield Check(name, WARN, str(error), "install systemctl")
        return
    user = "--user " if is_user else ""
    is_wanted = not name.endswith(("-monitor.service", "-apply.service"))  # started when needed
    if state == "failed":
        yield Check(
            name, FAIL, "has failed", f"journalctl {user}-u {name}; systemctl {user}restart {name}"
        )
    elif is_wanted and state not in ("active", "reloading", "activating"):
        yield Check(name, WARN, f"is {state}", f"systemctl {user}enable --now {name}")
    else:
        yield Check(name, OK, state)


def _linger() -> Iterator[Check]:
    from reconciler.cli.unit_setup import user_lingers, user_name

    if user_lingers():
        yield Check("linger", OK, "the user's units run without a login")
        return
    how = f"loginctl enable-linger {user_name()}"
    yield Check("linger", WARN, "all containers end when the user logs out", how)
