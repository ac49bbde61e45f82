"""The record of a container: what is on disk from before its clone until it is destroyed."""

from __future__ import annotations

from reconciler.model.config import Config
from reconciler.model.frozen import field, frozen, replace
from reconciler.model.state import ExitStatus, ProcessId

Notes = dict[str, str | None] | None
"""Changes of annotations: None for one removes it."""


@frozen
class Record:
    """State record of one container (`RUN_DIR/containers/ID/state.json`).

    `cgroups` are absolute directories by hierarchy name (`unified`, or a v1 controller's).
    `annotations` belong to the engine's caller and are kept untouched. `init` is None until
    the first start. Wall-clock seconds; `exit` is how the last run ended, None while it runs;
    `last_exit` is how the last run that has ended did.
    """

    id: str
    config: Config
    created_at: float
    cgroups: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    init: ProcessId | None = None
    started_at: float | None = None
    exit: ExitStatus | None = None
    last_exit: ExitStatus | None = None

    def rewritten(self, config: Config, notes: Notes) -> Record:
        """Return the record with another Config and with these changes of its annotations."""
        merged = self.annotations | (notes or {})
        kept = {key: value for key, value in merged.items() if value is not None}
        return replace(self, config=config, annotations=kept)
