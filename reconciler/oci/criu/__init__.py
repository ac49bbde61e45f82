"""Checkpoint and restore through CRIU, for the verbs of these names. Imported by them alone."""
