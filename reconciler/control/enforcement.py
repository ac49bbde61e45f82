"""Leaves out of the specs what they say is only preferred and this host cannot enforce.

Called by the pass before anything is compared, so that what runs and its record agree, and the
host's becoming able is a difference as any other. What is required stays, and fails at its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from reconciler.cgroup.canonical import Unsupported
from reconciler.control.ports import EnginePort
from reconciler.model.config import Config, SeccompMode
from reconciler.model.field_paths import ENFORCED, is_known
from reconciler.model.frozen import replace
from reconciler.model.spec import Enforcement, Spec
from reconciler.model.world import Desired
from reconciler.planning.fields import FIELDS

Unenforced = Mapping[str, tuple[Unsupported, ...]]
"""By container name: the preferred fields that it runs without."""

_DEFAULTS = Config(command=("unknown",))
_OF_ISOLATION = (
    *("apparmor_profile", "selinux_label", "init_affinity", "cpu_affinity", "memory_policy"),
    *("scheduler", "io_priority", "namespaces.time"),
)
"""What of a Config's isolation a host is asked about."""

_ATTRIBUTES = {
    row.path: row.attribute.removeprefix("config.")
    for row in FIELDS
    if is_known(row.path, ENFORCED)
}


def leave_out_preferred(engine: EnginePort, desired: Desired) -> tuple[Desired, Unenforced]:
    """Return the specs as this host can enforce them, and what was left out of which.

    Raises: SystemError when the host cannot be asked.
    """
    return leave_out(desired, engine.unenforceable)


def leave_out(
    desired: Desired, unenforceable: Callable[[Config], Sequence[Unsupported]]
) -> tuple[Desired, Unenforced]:
    """Return what `leave_out_preferred` does, for a host that answers so. Pure but for it."""
    specs, unenforced, asked = dict(desired.specs), {}, _Asked(unenforceable)
    for name, spec in desired.specs.items():
        if Enforcement.PREFERRED not in spec.enforcement.values():
            continue
        found = tuple(one for one in asked.of(spec.config) if is_preferred(spec, one.field))
        if found:
            specs[name] = replace(spec, config=without(spec.config, (one.field for one in found)))
            unenforced[name] = found
    return (replace(desired, specs=specs), unenforced) if unenforced else (desired, {})


class _Asked:
    """Asks the host once for all Configs that it answers the same for."""

    def __init__(self, unenforceable: Callable[[Config], Sequence[Unsupported]]) -> None:
        self._unenforceable = unenforceable
        self._answers: dict[object, Sequence[Unsupported]] = {}

    def of(self, config: Config) -> Sequence[Unsupported]:
        asked = tuple(attrgetter(*_OF_ISOLATION)(config.isolation))
        asked += tuple(config.isolation.sysctl.items())
        key = (config.resources, config.rlimits, config.oom_score_adj, config.security, asked)
        if key not in self._answers:
            self._answers[key] = self._unenforceable(config)
        return self._answers[key]


def is_preferred(spec: Spec, path: str) -> bool:
    """Tell whether a container may run without a field: as the nearest path above it says."""
    while path:
        if path in spec.enforcement:
            return spec.enforcement[path] is Enforcement.PREFERRED
        path = path.rpartition(".")[0]
    return False


def without(config: Config, paths: Iterable[str]) -> Config:
    """Return the Config with these fields as if they were not set; seccomp as unconfined."""
    for path in paths:
        if path.startswith("rlimits."):
            kept = (one for one in config.rlimits if f"rlimits.{one.type.lower()}" != path)
            config = replace(config, rlimits=tuple(kept))
        elif path.startswith("sysctl."):
            given, left_out = config.isolation.sysctl, path.removeprefix("sysctl.")
            others = {name: value for name, value in given.items() if name != left_out}
            config = _replaced(config, "isolation.sysctl", others)
        elif path == "security.seccomp":
            config = _replaced(config, "security.seccomp", SeccompMode.UNCONFINED)
            config = _replaced(config, "isolation.seccomp", None)
        else:
            if path == "namespaces.time":
                config = _replaced(config, "isolation.time_offsets", {})
            attribute = _ATTRIBUTES[path]
            config = _replaced(config, attribute, attrgetter(attribute)(_DEFAULTS))
    return config


def describe(unsupported: Unsupported) -> str:
    """Return `resources.memory.high: cgroup v1 has no ...; boot with ...`."""
    return f"{unsupported.field}: {unsupported.reason}; {unsupported.how}"


def _replaced(value: Any, path: str, inner: Any) -> Any:  # noqa: ANN401  (any part of a Config)
    """Return a frozen value with another one at an attribute path."""
    name, _, rest = path.partition(".")
    return replace(value, **{name: _replaced(getattr(value, name), rest, inner) if rest else inner})
