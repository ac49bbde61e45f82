"""The controllers of cgroup v1, one file each (kernel: admin-guide/cgroup-v1)."""
