"""The pass: observe, execute, report; converge, backoff and probes around it.

Called by the command line and the daemon. It joins the loader, the planner and the engine,
and is the only layer that acts on a plan. It is level-triggered: it may not rely on what it
thinks it did last time, only on what it observes.
"""
