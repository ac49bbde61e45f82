"""The controllers of cgroup v2, one file each (kernel: admin-guide/cgroup-v2.rst)."""
