"""Control groups: one Protocol, drivers for cgroup v1, hybrid and v2. Imports nothing by itself.

The engine calls `choose.choose_driver`; the monitor uses `core` alone, which imports only
the standard library.
"""
