"""Wall-clock seconds as text. The time itself is injected: see `reconciler.linux.clock`."""

from reconciler.model.moment import format_time

__all__ = ["format_time"]
