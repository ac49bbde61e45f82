"""Every syscall, ioctl and prctl; the only place with ctypes, fork and the real clock.

Called by cgroup, monitor and engine. It returns plain types and raises `OSError` untouched,
with the kernel's names verbatim; it may not know what a container is.
"""
