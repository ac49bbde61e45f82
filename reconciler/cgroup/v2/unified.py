"""Files of v2 that have no field of their own: `resources.unified` (kernel: cgroup-v2.rst).

Whatever a file means is the kernel's; content is compared in one spelling
(`convert.plain_content`). The names of the files that are wanted are its only state: none.
"""

from __future__ import annotations

from collections.abc import Collection

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    UNIFIED_FILES,
    Limits,
    Unsupported,
    changed_fields,
    typed_rows,
)
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.state import Stats
from reconciler.model.world import Value

NAME = "unified"
FIELDS = (UNIFIED_FILES,)

