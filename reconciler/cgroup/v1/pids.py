"""Task limit of v1 (kernel: admin-guide/cgroup-v1/pids.rst): the same files as in v2."""

from reconciler.cgroup.v2.pids import (
    FIELDS,
    NAME,
    read_limits,
    read_stats,
    shown_fields,
    unsupported,
    write_limits,
)

__all__ = [
    "FIELDS",
    "NAME",
    "read_limits",
    "read_stats",
    "shown_fields",
    "unsupported",
    "write_limits",
]
