"""Frozen classes and enums shared by all layers above, and their JSON form.

Used by everyone except the monitor. It holds values: it may not read files, call the kernel
or import any other layer but the errors.
"""
