"""What wakes a pass: file events, timers, exits of containers, signals.

Called by `reconciler watch`. It differs from a one-shot `apply` only in when it runs a
pass of `reconciler.control`; it may not plan, execute or touch a container itself.
"""
