"""From the files of a source to validated, desired state, with every problem found.

Called by control and by the command line (`validate`). It reads files and nothing else: it
may not look at containers or the kernel, and an invalid file is reported as invalid, never
dropped as if it were absent.
"""
