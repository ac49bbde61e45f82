"""Specs and helpers that several tests of the loader share."""

from __future__ import annotations

from pathlib import Path

from reconciler.loader.parse import parse_file
from reconciler.loader.parsed import Parsed
from reconciler.model.spec import Spec

FULL = """\
# web.yaml
apiVersion: reconciler/v1
kind: Job
name: web
labels: {tier: front}
state: running
command: [/usr/bin/python3, -m, http.server, "8080"]
env: {PORT: "8080"}
envFile: [-no-such-file.env, {path: -nor-this.env, onChange: ignore},
  {path: -live.env, onChange: {signal: USR1}}, {path: -run.env, onChange: {exec: [/bin/reload]}}]
workdir: /srv
user: "1000:1000"
groups: [video, 27]
hostname: web.example.org
domainname: example.org
namespaces:
  {pid: host, ipc: private, uts: private, cgroup: private, network: /run/netns/blue, user: private,
  time: private}
timeOffsets: {monotonic: 24h, boottime: -1500ms}
uidMappings: [{containerID: 0, hostID: 524288, size: 65536}]
gidMappings: [{containerID: 0, hostID: 524288, size: 65536}]
sysctl: {net.core.somaxconn: 4096}
umask: "0027"
scheduler: {policy: DEADLINE, runtime: 1ms, deadline: 2ms, period: 3ms, flags: [RESET_ON_FORK]}
cpuAffinity: {init: 0-1, exec: 2}
personality: LINUX32
memoryPolicy: {mode: BIND, nodes: 0-1, flags: [STATIC_NODES]}
ioPriority: {class: BE, priority: 7}
hooks:
  prestart: [{command: [/bin/a]}]
  createRuntime: [{command: [./up, -v], env: {A: "1"}, timeout: 1500ms}]
  createContainer: [{command: [/bin/b]}]
  startContainer: [{command: [/bin/c]}]
  poststart: [{command: [/bin/d]}]
  poststop: [{command: [/bin/e]}]
annotations: {zone: dmz}
devices:
  - {path: /dev/fuse, access: wr, type: c, major: 10, minor: 229, mode: "0660", uid: 1, gid: 2}
netDevices: {eth1: eth0}
maskedPaths: [/proc/kcore]
readonlyPaths: [/proc/sys]
rootfs: {path: /srv/rootfs, readonly: true, overlay: false, noPivot: true, propagation: rslave}
mounts:
  - {type: bind, source: ./html, target: /srv, options: [ro, rbind], onChange: {signal: HUP}}
  - {type: bind, source: ./conf, target: /conf, onChange: {exec: [/bin/reload, --now]}}
  - {type: tmpfs, target: /tmp, size: 64Mi, mode: "1777"}
  - {type: overlay, target: /over, lower: [./a, /b], upper: ./up, work: ./work}
  - {type: bind, source: /data, target: /data, options: [idmap],
    uidMappings: [{containerID: 0, hostID: 1000, size: 1}],
    gidMappings: [{containerID: 0, hostID: 1000, size: 1}]}
network: none
resources:
  memory: {max: 256Mi, high: 200Mi, low: 64Mi, min: 1Mi, oomGroup: true, swap: 0,
    reservation: 8Mi, swappiness: 10, disableOomKiller: true}
  cpu: {max: 1500m, period: 50ms, burst: 20ms, weight: 100, idle: false, cpus: 0-3, mems: 0,
    realtimeRuntime: 50ms, realtimePeriod: 1s}
  pids: {max: 128}
  io:
    weight: 50
    weights: [{device: 8:16, weight: 200}]
    max: [{device: 8:0, readBytes: 1Mi, writeBytes: 2Mi, readOps: 3, writeOps: 4}]
  hugetlb: [{pageSize: 2Mi, max: 64Mi}]
  rdma: [{device: mlx5_0, hcaHandles: 2, hcaObjects: 3}]
  net: {classId: 1048577, priorities: {eth0: 5}}
  unified: {memory.swap.high: 1M, cgroup.max.depth: 4}
security:
  capabilities: [NET_BIND_SERVICE]
  noNewPrivileges: true
  seccomp: default
  apparmorProfile: web
  selinuxLabel: "system_u:system_r:container_t:s0"
rlimits: {nofile: {soft: 1024, hard: 4096}, core: 0, stack: unlimited}
oomScoreAdj: 500
restart:
  policy: on-failure
  backoff: {initial: 500ms, factor: 2, max: 30s, jitter: 0.5}
  resetAfter: 10m
  maxAttempts: 5
  permanentExitCodes: [78, 2]
deadline: 1h
suspend: {reason: under repair, until: "2026-01-31T12:00:00Z"}
stop: {signal: TERM, grace: 10s, preStop: [/bin/drain]}
dependsOn: {db: ready, migrate: {condition: completed, restart: true}}
probes:
  startup:
    tcp: {port: 8080, host: "::1"}
    initialDelay: 1s
    interval: 2s
    timeout: 500ms
    failureThreshold: 30
    successThreshold: 1
  readiness: {http: {port: 8080, path: /ready, host: 127.0.0.1, headers: {Host: example.org}}}
  liveness: {exec: [/bin/test, -e, /tmp/alive]}
prune: {mode: freeze, ttl: 2h}
drift: {policy: report, fields: {resources.memory: enforce, state: ignore}}
enforcement: {resources.memory.high: preferred, rlimits.nofile: required}
logs: {maxSize: 10Mi, maxFiles: 5}
"""


def parse_text(text: str | bytes, file: str = "/etc/specs/web.yaml") -> Parsed:
    return parse_file(file, text.encode() if isinstance(text, str) else text)


def spec_of(text: str, file: str = "/etc/specs/web.yaml") -> Spec:
    parsed = parse_text(text, file)
    assert parsed.problems == ()
    [spec] = parsed.specs
    return spec


def told(parsed: Parsed) -> list[str]:
    """Return what a user reads of each problem, without the file, and the code's name."""
    return [
        f"{problem.describe().removeprefix(f'{problem.file}:')} [{problem.name}]"
        for problem in sorted(parsed.problems, key=lambda one: (one.line or 0, one.column or 0))
    ]


def write(directory: Path, name: str, text: str = "command: [sleep, inf]\n") -> Path:
    path = directory / name
    path.write_text(text)
    return path
