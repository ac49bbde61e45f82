"""The container engine: Container and Engine, root file system, init, exec, monitor client.

Called by control, and by programs that use the engine as a library. It owns the records of
containers and translates the kernel's `OSError` into typed errors; it may not know specs,
sources or plans.
"""
