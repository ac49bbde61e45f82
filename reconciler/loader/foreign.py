"""Fields of compose, Kubernetes, Quadlet and systemd files, and what does their work here.

Called by `messages` for an unknown field at the top of a spec. Data only.
"""

from __future__ import annotations

_COMMAND = "write it as 'command', the program and its arguments in one list"
_KUBERNETES = "fields are at the top of the file here: 'command', 'mounts', 'resources', ..."
_ONE_FILE = "one file is one container: write a file for each"
_PUBLISH = "no ports are published; 'network: host' uses the host's"
_IMAGE = "no images are fetched: unpack one into a directory and write 'rootfs: {path: DIR}'"
_MOUNTS = "write 'mounts: [{type: bind, source: DIR, target: /DIR}]'"
_DEVICE = "write 'mounts: [{type: bind, source: /dev/X, target: /dev/X, options: [dev]}]'"
_ORDER = "write 'dependsOn: {NAME: started}', or ready, or completed"
_PRIVILEGES = "write what it needs in 'security: {capabilities: [...]}'"
_PROBES = "write 'probes: {liveness: {exec: [COMMAND, ...]}}'"

# By the name in lower case without '_' and '-'.
INSTEAD = {
    "args": _COMMAND,
    "cmd": _COMMAND,
    "entrypoint": _COMMAND,
    "exec": _COMMAND,
    "execstart": _COMMAND,
    "script": _COMMAND,
    "image": _IMAGE,
    "build": _IMAGE,
    "ports": _PUBLISH,
    "expose": _PUBLISH,
    "publishport": _PUBLISH,
    "networkmode": "write 'network: host' or 'network: none'",
    "networks": "write 'network: host' or 'network: none'",
    "hostnetwork": "write 'network: host'",
    "volumes": _MOUNTS,
    "volume": _MOUNTS,
    "volumemounts": _MOUNTS,
    "tmpfs": "write 'mounts: [{type: tmpfs, target: /DIR}]'",
    "environment": "write 'env: {NAME: value}'",
    "environmentfile": "write 'envFile: [FILE]'",
    "restartpolicy": "write 'restart: {policy: always}', or on-failure, or never",
    "after": _ORDER,
    "requires": _ORDER,
    "wants": _ORDER,
    "healthcheck": _PROBES,
    "livenessprobe": "write 'probes: {liveness: ...}'",
    "readinessprobe": "write 'probes: {readiness: ...}'",
    "startupprobe": "write 'probes: {startup: ...}'",
    "devices": _DEVICE,
    "device": _DEVICE,
    "adddevice": _DEVICE,
    "sysctls": "write 'sysctl: {NAME: value}'",
    "pid": "write 'namespaces: {pid: host}'",
    "hostpid": "write 'namespaces: {pid: host}'",
    "ipc": "write 'namespaces: {ipc: host}'",
    "hostipc": "write 'namespaces: {ipc: host}'",
    "uts": "write 'namespaces: {uts: host}'",
    "usernsmode": "write 'namespaces: {user: private}' and 'uidMappings', 'gidMappings'",
    "hostusers": "write 'namespaces: {user: private}' and 'uidMappings', 'gidMappings'",
    "userns": "write 'namespaces: {user: private}' and 'uidMappings', 'gidMappings'",
    "nice": "write 'scheduler: {policy: OTHER, nice: 10}'",
    "ioschedulingclass": "write 'ioPriority: {class: IDLE}'",
    "securityopt": "write 'security: {seccomp: ..., apparmorProfile: ..., selinuxLabel: ...}'",
    "apparmorprofile": "write 'security: {apparmorProfile: NAME}'",
    "capadd": _PRIVILEGES,
    "addcapability": _PRIVILEGES,
    "privileged": _PRIVILEGES,
    "capdrop": "nothing has a capability unless 'security: {capabilities: [...]}' names it",
    "readonly": "write 'rootfs: {readonly: true}', which is the default",
    "workingdir": "write 'workdir: /DIR'",
    "containername": "write 'name: NAME'; without it the file's name is the name",
    "memlimit": "write 'resources: {memory: {max: 256Mi}}'",
    "cpus": "write 'resources: {cpu: {max: 1500m}}'",
    "pidslimit": "write 'resources: {pids: {max: 100}}'",
    "ulimits": "write 'rlimits: {nofile: {soft: 1024, hard: 4096}}'",
    "stopgraceperiod": "write 'stop: {grace: 10s}'",
    "stopsignal": "write 'stop: {signal: TERM}'",
    "replicas": _ONE_FILE,
    "deploy": _ONE_FILE,
    "services": _ONE_FILE,
    "containers": _ONE_FILE,
    "metadata": _KUBERNETES,
    "spec": _KUBERNETES,
}


def instead_of(name: str) -> str | None:
    """Return what to write instead of another tool's field, None for one that is not known."""
    return INSTEAD.get(name.replace("_", "").replace("-", "").lower())
