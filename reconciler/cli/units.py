"""The texts of the systemd units that `install` writes.

    NAME-monitor.socket    listens for the monitor, and makes the scope that containers live in
    NAME-monitor.service   the monitor, for as long as it is needed
    NAME.service           the daemon (`watch`), or with --timer:
    NAME-apply.service     one `apply`, started by
    NAME-apply.timer       every so often
    NAME-shutdown.service  does nothing until it is stopped: then it stops the containers

Pure. Sources: systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5).
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from typing import NamedTuple

_MARK = "# Written by: "
_SUM = "# To change it: systemctl edit; a file that was itself changed is left alone. sha256:"
_WATCHDOG_S = 180  # the daemon asks for more while an action goes on within a pass
_MONITOR_WATCHDOG_S = 60

# What the daemon needs none of. It has to see what containers will see, so nothing hides or
# replaces a part of the file system (PrivateTmp, ProtectHome=yes, PrivateDevices), and it may
# give containers any capability, so none is dropped.
_HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
UMask=0077
"""
_SYSTEM_HARDENING = """\
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=-{run} -{state}
"""


class Unit(NamedTuple):
    """One unit: the name of its file, and its text."""

    name: str
    text: str


class Setup(NamedTuple):
    """What the units are for; `every_s`: a timer with that interval, None: the daemon.

    `name` begins the names of the units; `command` is the command line that asks for them.
    """

    name: str
    python: str
    run_dir: str
    state_dir: str
    sources: Sequence[str]
    is_user: bool
    every_s: float | None
    command: Sequence[str]

    @property
    def socket(self) -> str:
        """The unit that listens for the monitor."""
        return f"{self.name}-monitor.socket"

    @property
    def scope(self) -> str:
        """The scope that containers live in."""
        return f"{self.name}-containers.scope"

    @property
    def shutdown(self) -> str:
        """The unit whose stop stops the containers."""
        return shutdown_name(self.name)

    @property
    def main(self) -> str:
        """The unit that keeps containers as their files say."""
        return f"{self.name}.service" if self.every_s is None else f"{self.name}-apply.timer"


def shutdown_name(name: str) -> str:
    """Return the name of the unit whose stop stops the containers: nothing else may stop it."""
    return f"{name}-shutdown.service"


def all_names(name: str) -> tuple[str, ...]:
    """Return the names of the units of both flavours, those first that are to stop first."""
    kinds = (".service", "-apply.timer", "-apply.service", "-monitor.socket", "-monitor.service")
    return (*(name + kind for kind in kinds), shutdown_name(name))


def make_units(setup: Setup) -> list[Unit]:
    """Return the units of one flavour."""
    made = [
        Unit(setup.socket, _socket(setup)),
        Unit(f"{setup.name}-monitor.service", _monitor(setup)),
        Unit(setup.shutdown, _shutdown(setup)),
    ]
    if setup.every_s is None:
        made.append(Unit(setup.main, _daemon(setup)))
    else:
        made.append(Unit(f"{setup.name}-apply.service", _apply(setup)))
        made.append(Unit(setup.main, _timer(setup)))
    # Both flavours have the first three: they stay as they are when the flavour changes.
    commands = (*[setup.command[:2]] * 3, setup.command, setup.command)
    return [
        Unit(unit.name, _signed(unit.text, command))
        for unit, command in zip(made, commands, strict=False)
    ]


def is_ours(text: str) -> bool:
    """Tell whether a unit file is as `install` has written it, of whatever version."""
    mark, _, rest = text.partition("\n")
    line, _, body = rest.partition("\n")
    return mark.startswith(_MARK) and line == _SUM + _digest(body)


def main_names(name: str) -> tuple[str, str]:
    """Return the names of the units that say which `install` has written them all."""
    return f"{name}.service", f"{name}-apply.timer"


def command_of(text: str) -> list[str] | None:
    """Return the arguments of the `install` that has written a unit file, None: none has."""
    mark = text.partition("\n")[0]
    return shlex.split(mark.removeprefix(_MARK))[2:] if mark.startswith(_MARK) else None


def quote(word: str) -> str:
    """Return a word as a command line of a unit has it (systemd.service(5), Command Lines)."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not set(word) & set(" \t\"';\\"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _signed(body: str, command: Sequence[str]) -> str:
    return f"{_MARK}{shlex.join(command)}\n{_SUM}{_digest(body)}\n{body}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _line(*words: str) -> str:
    return " ".join(map(quote, words))


def _run(setup: Setup, verb: str) -> str:
    dirs = ("--run-dir", setup.run_dir, "--state-dir", setup.state_dir)
    return _line(setup.python, "-P", "-m", "reconciler", verb, *setup.sources, *dirs)


def _socket(setup: Setup) -> str:
    place = (setup.run_dir, setup.scope, *(["--user"] if setup.is_user else []))
    return f"""\
[Unit]
Description=Socket of the monitor of {setup.name}
# Not stopped for a shutdown: the monitor sees the containers to their end.
DefaultDependencies=no
RequiresMountsFor={quote(setup.python)}

[Socket]
# Makes {setup.scope}, in which containers outlive every unit here.
ExecStartPre={_line(setup.python, "-P", "-m", "reconciler.engine.systemd_place", *place)}
ListenSequentialPacket={setup.run_dir.replace("%", "%%")}/monitor.sock
SocketMode=0600
DirectoryMode=0700
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""


def _monitor(setup: Setup) -> str:
    return f"""\
[Unit]
Description=Monitor of {setup.name}: the parent of its containers
DefaultDependencies=no
Requires={setup.socket}
After={setup.socket}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={_line(setup.python, "-P", "-m", "reconciler.monitor", setup.run_dir)}
Restart=on-failure
RestartSec=100ms
WatchdogSec={_MONITOR_WATCHDOG_S}
KillMode=process
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
UMask=0077
# No sandbox: what this service may not see or do, no container could see or do. Each container
# has a sandbox of its own.
"""


def _daemon(setup: Setup) -> str:
    target = "default.target" if setup.is_user else "multi-user.target"
    return f"""\
[Unit]
Description=Keeps containers as the files in {_shown(setup)} say
Requires={setup.socket}
After={setup.socket} network.target

[Service]
Type=notify
ExecStart={_run(setup, "watch")}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
WatchdogSec={_WATCHDOG_S}
KillMode=process
{_hardening(setup)}
[Install]
WantedBy={target}
"""


def _apply(setup: Setup) -> str:
    return f"""\
[Unit]
Description=Makes containers as the files in {_shown(setup)} say, once
Requires={setup.socket}
After={setup.socket} network.target

[Service]
Type=oneshot
ExecStart={_run(setup, "apply")}
{_hardening(setup)}"""


def _shutdown(setup: Setup) -> str:
    target = "default.target" if setup.is_user else "multi-user.target"
    stop = (setup.python, "-P", "-m", "reconciler.control.shutdown", setup.run_dir, setup.state_dir)
    return f"""\
[Unit]
Description=Stops the containers of {setup.name} as their files say, when the host shuts down
# Stopped after what would start them again, and before their scope and the network.
Before={setup.name}.service {setup.name}-apply.service
After={setup.socket} network.target
RefuseManualStop=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStop={_line(*stop)}
# Each container has a grace; reboot.target ends what lasts half an hour.
TimeoutStopSec=infinity
{_hardening(setup)}
[Install]
WantedBy={target}
"""


def _timer(setup: Setup) -> str:
    return f"""\
[Unit]
Description=Makes containers as the files in {_shown(setup)} say, every {setup.every_s:g} s

[Timer]
OnActiveSec=0
OnUnitInactiveSec={setup.every_s:g}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def _shown(setup: Setup) -> str:
    return ", ".join(setup.sources).replace("%", "%%")


def _hardening(setup: Setup) -> str:
    if setup.is_user:  # a user's manager cannot give a service a view of its own
        return _HARDENING
    run, state = quote(setup.run_dir), quote(setup.state_dir)
    lines = _HARDENING + _SYSTEM_HARDENING.format(run=run, state=state)
    if os.path.dirname(setup.state_dir) == "/var/lib":
        lines += f"StateDirectory={os.path.basename(setup.state_dir)}\nStateDirectoryMode=0700\n"
    return lines
