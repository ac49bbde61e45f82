"""Diff, plan and conditions: pure functions from frozen values to frozen values.

Called by control. It may not read a clock or a file, make a kernel call, or change what it
was given; it knows neither the loader nor the engine.
"""
