"""(e) Many spec files: validated anew, and looked at again when nothing has changed.

Anew is a whole `reconciler validate` process, which keeps nothing. Unchanged is what a further
process pays for the files with the loader's cache on disk (as `plan` and `apply` do), and a load
by a process that has it in memory. Beside them: `supervisorctl reread` of programs that are not
started (a fifth as many, 1,000 at most), and Quadlet's generator (`-dryrun`) where the podman
here has one.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.loader.load import Loader
from tests.bench.place import Place, make_place
from tests.bench.podman import find_quadlet
from tests.bench.report import judge, say
from tests.bench.supervisord import find_supervisor, make_supervisor

ANEW_S = 10.0  # of 10,000 files; of fewer as many times less
UNCHANGED_S = 2.0
_MANY = 10_000
_MANY_PROGRAMS = 1000  # for supervisord, which does not come to an end with ten times as many

_SHORT_SPEC = """\
labels: {{tier: front, shard: s{i}}}
command: [/usr/bin/python3, -m, http.server, "{port}"]
env: {{PORT: "{port}", NAME: worker-{i}}}
workdir: /srv
user: "{user}:{user}"
resources:
  memory: {{max: {size}Mi}}
restart: {{policy: on-failure}}
"""
_LONG_SPEC = """\
apiVersion: reconciler/v1
kind: Container
labels: {{tier: front, app: web-{i}}}
command: [/usr/bin/python3, -m, http.server, "{port}"]
env:
  PORT: "{port}"
  LOG_LEVEL: info
  DATABASE_URL: postgres://db-{i}.internal:5432/app
workdir: /srv
user: "{user}:{user}"
rootfs: {{path: /srv/rootfs/{i}, readonly: true}}
mounts:
  - {{type: bind, source: ./html-{i}, target: /srv, options: [ro]}}
  - {{type: tmpfs, target: /tmp, size: {size}Mi}}
network: none
resources:
  memory: {{max: {size}Mi, high: 50Mi}}
  cpu: {{max: {user}m, weight: 100}}
  pids: {{max: {size}}}
security:
  capabilities: [NET_BIND_SERVICE]
  noNewPrivileges: true
  seccomp: default
restart:
  policy: on-failure
  backoff: {{initial: 500ms, factor: 2, max: 30s}}
stop: {{signal: TERM, grace: {size}s}}
probes:
  readiness: {{http: {{port: 8080, path: /}}, interval: 5s}}
logs: {{maxSize: 10Mi, maxFiles: 5}}
"""
_QUADLET = """\
[Container]
Rootfs=/srv/rootfs/{i}
Exec=/usr/bin/python3 -m http.server {port}
Environment=PORT={port} NAME=worker-{i}
User={user}
Group={user}
[Service]
Restart=on-failure
"""


def measure(*, short: bool) -> None:
    """Measure and print."""
    count = 1000 if short else _MANY
    share = count / _MANY
    with make_place() as place:
        for lines, template in ((8, _SHORT_SPEC), (30, _LONG_SPEC)):
            directory = _write(place.base / f"specs{lines}", template, count, "yaml")
            anew = _time(lambda d=directory: place.run("validate", d))  # type: ignore[misc]
            unchanged, again = _time_unchanged(place, directory)
            say(
                f"files, {count} specs of {lines} lines",
                judge("validate", anew, ANEW_S * share, " s"),
                judge("unchanged, cache on disk", unchanged, UNCHANGED_S * share, " s"),
                f"in memory {again:.2f} s",
            )
        _measure_supervisor(place, min(count // 5, _MANY_PROGRAMS))
        _measure_quadlet(place, count)


def _write(directory: Path, template: str, count: int, ending: str) -> str:
    directory.mkdir()
    for i in range(count):
        values = {"i": i, "port": 8000 + i, "user": 1000 + i % 50, "size": 64 + i % 64}
        (directory / f"web-{i}.{ending}").write_text(template.format(**values))
    return str(directory)


def _time(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _time_unchanged(place: Place, directory: str) -> tuple[float, float]:
    """Return the seconds of a load with the cache on disk, and of one with it in memory."""
    Loader(place.engine.state_dir).load([directory])
    loader = Loader(place.engine.state_dir)
    return _time(lambda: loader.load([directory])), _time(lambda: loader.load([directory]))


def _measure_supervisor(place: Place, count: int) -> None:
    if find_supervisor() is None:
        say("files", "no supervisord (pip install supervisor): not compared")
        return
    with make_supervisor(place.base / "supervisor") as supervisor:
        for i in range(count):
            command = f"/usr/bin/python3 -m http.server {8000 + i}"
            supervisor.write_program(f"web-{i}", command, is_started=False)
        anew = _time(lambda: supervisor.control("reread"))
        supervisor.control("update")
        unchanged = _time(lambda: supervisor.control("reread"))
    say(
        f"files, {count} programs of 7 lines",
        f"supervisorctl reread {anew:.2f} s, with nothing changed {unchanged:.2f} s",
    )


def _measure_quadlet(place: Place, count: int) -> None:
    quadlet = find_quadlet()
    if quadlet is None:
        say("files", "no Quadlet (podman 4.4 and later has it): not compared")
        return
    directory = _write(place.base / "quadlet", _QUADLET, count, "container")
    environ = place.environ | {"QUADLET_UNIT_DIRS": directory}
    command = [quadlet, "-dryrun"]
    seconds = _time(lambda: subprocess.run(command, env=environ, capture_output=True, check=True))
    say(f"files, {count} units of 8 lines", f"Quadlet's generator {seconds:.2f} s")
