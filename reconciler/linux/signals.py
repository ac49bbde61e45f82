"""What a process does with a signal, as /proc/PID/status tells (proc(5))."""

from __future__ import annotations

from reconciler.linux.proc import read_file


def can_reach_init(pid: int, number: int) -> bool:
    """Tell whether a signal from outside has an effect on the init of a PID namespace.

    The kernel drops a signal that an init neither handles nor blocks (pid_namespaces(7)).
    False as well when there is no such process.
    """
    try:
        text = read_file(f"/proc/{pid}/status").decode()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = {
        line[:6]: int(line[7:], 16)
        for line in text.splitlines()
        if line[:6] in ("SigBlk", "SigCgt")
    }
    return bool((masks["SigBlk"] | masks["SigCgt"]) >> (number - 1) & 1)
