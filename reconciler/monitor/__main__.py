"""`python -m reconciler.monitor RUN_DIR [LINGER_S]`: what systemd starts for a connection.

It becomes a sealed copy of the interpreter (`spawn`), which goes on in `main.main_activated`.
"""

from __future__ import annotations

import sys

from reconciler.monitor.spawn import become_activated

_LINGER_S = 30.0  # a start costs more than to wait for the next connection


def main() -> None:
    """Become the monitor of the run directory in the arguments."""
    linger_s = float(sys.argv[2]) if len(sys.argv) > 2 else _LINGER_S
    become_activated(sys.argv[1], linger_s)


if __name__ == "__main__":
    main()
