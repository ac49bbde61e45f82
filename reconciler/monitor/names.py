"""Files of the monitor in the run directory, and of systemd's where that starts it."""

SOCKET_NAME = "monitor.sock"
LOCK_NAME = "monitor.lock"
LOG_NAME = "monitor.log"
SYSTEMD_NAME = "systemd.json"
