"""Children that nobody knows are collected: in a process of its own, which has no others."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal
from reconciler.monitor.strays import Strays

def child(code=None):
    pid = os.fork()
    if pid == 0:
        if code is not None:
            os._exit(code)
        signal.pause()
    if code is not None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid

def is_there(pid):
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True

launching = True
known, ended, alive = child(), child(0), child()
strays = Strays(lambda: {known}, lambda: launching)
strays.collect()
print(*map(is_there, (known, ended, alive)))
strays.look()
strays.collect()
print(*map(is_there, (known, ended, alive)))
launching = False
strays.collect()
print(*map(is_there, (known, ended, alive)))
os.kill(known, 9)
"""


def test_the_ended_are_collected_and_those_that_live_once_nothing_is_launched() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.splitlines() == [
        "True True True",  # nobody has asked to look
        "True False True",
        "True False False",
    ]
