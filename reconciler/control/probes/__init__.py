"""Probes: what they check, when, and what they have found.

Called by the daemon, whose scheduler runs for as long as it does, and by a one-shot pass, which
makes one round of what is due. What was found is on disk, for every process that looks.
"""
