"""Files of the monitor in the run directory."""

SOCKET_NAME = "monitor.sock"
LOCK_NAME = "monitor.lock"
LOG_NAME = "monitor.log"
