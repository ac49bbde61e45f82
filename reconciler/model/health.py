"""What the probes of a container have found, of one run of it.

Written by control's probes, read by planning and by what shows it. A run is told from another
by its init's pid and its start time, so that what an earlier run was found to be never counts.
"""

from __future__ import annotations

from zlib import crc32

from reconciler.lean import StrEnum
from reconciler.model.frozen import frozen
from reconciler.model.spec import Probe, Probes


class ProbeKind(StrEnum):
    """Which of the probes of a spec: the names of the fields of `Probes` and of `Health`."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"

    def of(self, probes: Probes) -> Probe | None:
        """Return the probe of this kind."""
        probe: Probe | None = getattr(probes, self)
        return probe


@frozen
class ProbeResult:
    """What one probe has found: `passes` True or False once a threshold was reached, else None.

    `since` is when that came to be, `checked_at` when the last check began (wall-clock
    seconds). `successes` and `failures` are those in a row. `message` is why the last check
    failed, empty when it passed. `check` identifies the probe that this is of.
    """

    passes: bool | None = None
    since: float | None = None
    checked_at: float | None = None
    successes: int = 0
    failures: int = 0
    message: str = ""
    check: int = 0


@frozen
class Health:
    """The results of the probes of one run of a container."""

    pid: int
    started_at: float
    startup: ProbeResult = ProbeResult()
    readiness: ProbeResult = ProbeResult()
    liveness: ProbeResult = ProbeResult()

    def is_of(self, pid: int | None, started_at: float | None) -> bool:
        """Tell whether this is of the run of the init `pid` that began at `started_at`."""
        return (self.pid, self.started_at) == (pid, started_at)

    def result(self, kind: ProbeKind, probe: Probe) -> ProbeResult:
        """Return what is known of a probe; nothing when what is known is of another one."""
        known: ProbeResult = getattr(self, kind)
        identity = probe_identity(probe)
        return known if known.check == identity else ProbeResult(check=identity)


def probe_identity(probe: Probe) -> int:
    """Return a number that is another for another probe."""
    return crc32(repr(probe).encode())
