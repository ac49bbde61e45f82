"""From the files of a source to validated, desired state, with every problem found.

Called by control and by the command line (`validate`). It reads files and nothing else: it
may not look at containers or the kernel, and an invalid file is reported as invalid, never
dropped as if it were absent.
"""

from reconciler.loader.load import Loader, load_sources, validate_paths
from reconciler.loader.schema import load_schema, read_schema_text

__all__ = ["Loader", "load_schema", "load_sources", "read_schema_text", "validate_paths"]
