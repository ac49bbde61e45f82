"""The small process that is the parent of every container.

Started by the engine, detached from whoever started it. It clones, records exits, pumps logs
and answers a few requests. It never reads a spec and takes no decision; it may import the
standard library (no threads), `reconciler.linux` and `reconciler.cgroup` alone.
"""
