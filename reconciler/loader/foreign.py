"""Fields of compose, Kubernetes, Quadlet and systemd files, and what does their work here.

Called by `messages` for an unknown field and for a value that is no choice. Data only.
"""

from __future__ import annotations

from collections.abc import Collection

from reconciler.loader.findings import Path

_COMMAND = "write it as 'command', the program and its arguments in one list"
_KUBERNETES = "fields are at the top of the file here: 'command', 'mounts', 'resources', ..."
_ONE_FILE = "one file is one container: write a file for each"
_PUBLISH = "no ports are published; 'network: host' uses the host's"
_IMAGE = "no images are fetched: unpack one into a directory and write 'rootfs: {path: DIR}'"
_MOUNTS = "write 'mounts: [{type: bind, source: DIR, target: /DIR}]'"
_DEVICE = "write 'devices: [{path: /dev/X}]'"
_ORDER = "write 'dependsOn: {NAME: started}', or ready, or completed"
_PRIVILEGES = "write what it needs in 'security: {capabilities: [...]}'"
_PROFILE = "a seccomp profile is no spec: move it into a directory of its own, as profiles/web.json"
_PROBES = "write 'probes: {liveness: {exec: [COMMAND, ...]}}'"
_GRACE = "write 'stop: {grace: 10s}'"
_PRE_STOP = "write 'stop: {preStop: [COMMAND, ...]}'"
_MEMORY = "write 'resources: {memory: {max: 256Mi}}'"
_CPU = "write 'resources: {cpu: {max: 1500m}}'"
_BACKOFF = "write 'restart: {backoff: {initial: 1s}}'"
_ATTEMPTS = "write 'restart: {maxAttempts: 5}'"
_SCHEDULE = "nothing is started by the clock here: a systemd timer or cron can run it"
_USER = "write 'user: \"UID:GID\"'"
_SECURITY = "write 'user: \"UID:GID\"', 'security: {capabilities: [...]}'"
_LOGS = "write 'logs: {maxSize: 10Mi, maxFiles: 5}'"
_JOB_FIRST = "write a file of its own with 'kind: Job', and here 'dependsOn: {NAME: completed}'"
_SHM = "write 'mounts: [{type: tmpfs, target: /dev/shm, size: 64Mi}]'"
_HOSTS = "write 'mounts: [{type: bind, source: ./hosts, target: /etc/hosts}]'"
_TERMINAL = "a service has no terminal; 'reconciler exec -it NAME' has one"
_DROP_INS = "write what differs into a drop-in, NAME.yaml.d/10-more.yaml"

_Rows = tuple[tuple[str, str], ...]


def _by_name(rows: _Rows) -> dict[str, str]:
    """Return the text for each of the names: in lower case, without '_' and '-'."""
    return {name: text for text, names in rows for name in names.split()}


INSTEAD = _by_name(
    (
        (_PROFILE, "defaultaction"),
        (_COMMAND, "args cmd entrypoint exec execstart script unit"),
        (_IMAGE, "image build pull pullpolicy imagepullpolicy platform"),
        (_PUBLISH, "ports expose publishport links"),
        ("write 'network: host' or 'network: none'", "networkmode networks"),
        ("write 'network: host'", "hostnetwork"),
        (_MOUNTS, "volumes volume volumemounts secrets configs volumesfrom"),
        ("write 'mounts: [{type: tmpfs, target: /DIR}]'", "tmpfs"),
        ("write 'env: {NAME: value}'", "environment"),
        ("write 'envFile: [FILE]'", "environmentfile"),
        ("write 'restart: {policy: always}', or on-failure, or never", "restartpolicy"),
        (_ORDER, "after requires wants"),
        (_PROBES, "healthcheck checks"),
        ("write 'probes: {liveness: ...}'", "livenessprobe"),
        ("write 'probes: {readiness: ...}'", "readinessprobe"),
        ("write 'probes: {startup: ...}'", "startupprobe"),
        (_DEVICE, "device adddevice"),
        ("write 'sysctl: {NAME: value}'", "sysctls"),
        ("write 'namespaces: {pid: host}'", "pid hostpid"),
        ("write 'namespaces: {ipc: host}'", "ipc hostipc"),
        ("write 'namespaces: {uts: host}'", "uts"),
        (
            "write 'namespaces: {user: private}' and 'uidMappings', 'gidMappings'",
            "usernsmode hostusers userns",
        ),
        ("write 'scheduler: {policy: OTHER, nice: 10}'", "nice"),
        ("write 'ioPriority: {class: IDLE}'", "ioschedulingclass"),
        (
            "write 'security: {seccomp: ..., apparmorProfile: ..., selinuxLabel: ...}'",
            "securityopt",
        ),
        ("write 'security: {apparmorProfile: NAME}'", "apparmorprofile"),
        (_PRIVILEGES, "capadd addcapability privileged"),
        ("nothing has a capability unless 'security: {capabilities: [...]}' names it", "capdrop"),
        ("write 'rootfs: {readonly: true}', which is the default", "readonly"),
        ("write 'workdir: /DIR'", "workingdir"),
        ("write 'name: NAME'; without it the file's name is the name", "containername"),
        (_MEMORY, "memlimit memorymax"),
        (_CPU, "cpus cpuquota"),
        ("write 'resources: {pids: {max: 100}}'", "pidslimit tasksmax"),
        ("write 'rlimits: {nofile: {soft: 1024, hard: 4096}}'", "ulimits"),
        (_GRACE, "stopgraceperiod timeoutstopsec killdelay stoptimeout"),
        ("write 'stop: {signal: TERM}'", "stopsignal killsignal"),
        ("write 'stop: {grace: 30s}'", "terminationgraceperiodseconds"),
        (_PRE_STOP, "execstop lifecycle"),
        (_BACKOFF, "restartsec backoffdelay"),
        (_ATTEMPTS, "startretries backofflimit"),
        ("write 'restart: {policy: always}'", "autorestart"),
        ("write 'deadline: 1h'", "activedeadlineseconds runtimemaxsec"),
        (_SCHEDULE, "schedule oncalendar"),
        ("write 'state: running'", "startup"),
        ("write 'state: running', or stopped", "enabled autostart"),
        (_USER, "userid groupid group"),
        (_SECURITY, "securitycontext"),
        ("write 'groups: [NAME]'", "groupadd supplementalgroups supplementarygroups"),
        ("write 'oomScoreAdj: 500'", "oomscoreadjust"),
        (_LOGS, "logging logdriver standardoutput stdoutlogfile"),
        (_JOB_FIRST, "initcontainers execstartpre"),
        ("write 'resources: {cpu: {cpus: 0-3}}'", "cpuset"),
        ("write 'resources: {cpu: {weight: 100}}'", "cpushares"),
        ("write 'resources: {memory: {low: 64Mi}}'", "memreservation"),
        (_SHM, "shmsize"),
        (_HOSTS, "extrahosts dns hostaliases"),
        ("write 'command: [/usr/bin/tini, --, PROGRAM]', where that is", "init"),
        (_TERMINAL, "tty stdinopen stdin"),
        (_DROP_INS, "extends override"),
        ("write 'state: stopped'", "profiles"),
        ("write it as a comment, or in 'labels'", "description summary"),
        ("it is an option of the command line, --cgroup-parent", "cgroupparent"),
        ("write 'kind: Job' for a command that ends, or Container", "type"),
        (_ONE_FILE, "replicas deploy services containers"),
        (_KUBERNETES, "metadata spec"),
    )
)
# The same inside of a field; `probes.*`, `hooks.*`: of each of them; list items are as the list.
INSIDE = {
    "resources": _by_name(
        (
            ("write 'memory: {max: 256Mi}', 'cpu: {max: 500m}'", "limits"),
            ("write 'memory: {low: 64Mi}', 'cpu: {weight: 100}'", "requests reservations"),
            ("write 'cpu: {max: 1500m}'", "cpus"),
            ("disk space is not limited; a tmpfs has a size", "ephemeralstorage"),
        )
    ),
    "resources.memory": _by_name((("write 'max: 256Mi'", "limit"),)),
    "resources.cpu": _by_name(
        (
            ("write 'max: 500m'", "limit"),
            ("write 'max: 500m', of one CPU", "quota"),
            ("write 'weight: 100'", "shares"),
            ("write 'cpus: 0-3'", "cpuset"),
        )
    ),
    "mounts": _by_name(
        (
            ("write 'target: /DIR'", "destination dst mountpath"),
            ("write 'source: DIR'", "hostpath src name"),
            ("write 'options: [ro]'", "readonly ro"),
            ("write 'options: [rbind]'", "bind"),
            ("write 'size: 64Mi'", "tmpfs"),
            ("write 'type: tmpfs'", "emptydir"),
            ("write 'options: [rslave]', or rshared", "propagation mountpropagation"),
            ("write 'lower: [DIR, ...]'", "lowerdir layers"),
        )
    ),
    "security.capabilities": _by_name(
        (("write a list alone, [NET_ADMIN]: it has no others", "add drop"),)
    ),
    "hooks": _by_name(((_PRE_STOP, "prestop"),)),
    "hooks.*": _by_name(
        (("write 'command: [/usr/local/bin/net-up, ARGUMENT]'", "path args exec program"),)
    ),
    "devices": _by_name(
        (
            ("write 'path: /dev/X'", "source target device pathonhost pathincontainer"),
            ("write 'access: rw'", "permissions cgrouppermissions"),
        )
    ),
    "probes": _by_name(
        (
            (_PROBES, "test http exec tcp"),
            ("write it into each probe: 'probes: {liveness: {interval: 10s}}'", "interval"),
        )
    ),
    "probes.*": _by_name(
        (
            ("write 'http: {port: 8080, path: /}'", "httpget"),
            ("write 'tcp: {port: 80}'", "tcpsocket"),
            ("write 'exec: [COMMAND]'", "test command"),
            ("write 'exec: [COMMAND]' or 'tcp: {port: 80}'", "grpc"),
            ("write 'interval: 10s'", "periodseconds period"),
            ("write 'timeout: 1s'", "timeoutseconds"),
            ("write 'failureThreshold: 3'", "retries threshold"),
            ("write 'initialDelay: 5s'", "startperiod initialdelayseconds"),
        )
    ),
    "stop": _by_name(
        (
            ("write 'grace: 10s'", "timeout graceperiod"),
            ("write 'preStop: [COMMAND]'", "command exec"),
        )
    ),
    "restart": _by_name(
        (
            ("write 'policy: on-failure'", "name condition"),
            ("write 'maxAttempts: 5'", "maxretries maximumretrycount"),
            ("write 'backoff: {initial: 1s}'", "delay sec"),
            ("write 'resetAfter: 10m'", "window"),
        )
    ),
    "logs": _by_name(
        (
            (
                "what a container writes is kept in files; 'reconciler logs -f NAME' reads them",
                "driver",
            ),
            ("write 'maxSize: 10Mi', 'maxFiles: 5'", "options"),
        )
    ),
    "security": _by_name(
        (
            ("write 'user: UID:GID'", "runasuser runasgroup"),
            ("the user is nobody unless 'user' says otherwise", "runasnonroot"),
            (_PRIVILEGES, "privileged capadd add"),
            ("write 'noNewPrivileges: true', which is the default", "allowprivilegeescalation"),
            ("write 'rootfs: {readonly: true}', which is the default", "readonlyrootfilesystem"),
            ("write 'seccomp: default'", "seccompprofile"),
            ("write 'selinuxLabel: LABEL'", "selinuxoptions"),
            ("write 'groups: [GID]'", "fsgroup"),
        )
    ),
    "rootfs": _by_name(((_IMAGE, "image"),)),
}

_MEANT = _by_name(
    (
        ("always", "unless-stopped"),
        ("never", "no"),
        ("no", "never"),
        ("on-failure", "onfailure"),
        ("running", "started up active enabled"),
        ("stopped", "exited down inactive disabled"),
        ("paused", "frozen"),
        ("ready", "healthy service_healthy"),
        ("started", "running service_started"),
        ("completed", "service_completed_successfully"),
        ("Container", "pod deployment daemonset statefulset replicaset service"),
        ("Job", "cronjob oneshot"),
        ("bind", "volume"),
        ("none", "private"),
    )
)

# Value: one of the choices of the field that it is about, and what to write.
_ON_HOST = ("bind", "mount it on the host, and its directory here: 'type: bind'")
_VALUES = {
    "nfs": _ON_HOST,
    "cifs": _ON_HOST,
    "ext4": _ON_HOST,
    "bridge": ("none", "there are no bridges: write 'host', or 'none' for a network of its own"),
    "slirp4netns": ("none", "write 'host', or 'none' for a network of its own"),
    "pasta": ("none", "write 'host', or 'none' for a network of its own"),
    "all": ("NET_ADMIN", "name each capability that it needs"),
}


def instead_of(name: str, path: Path = ()) -> str | None:
    """Return what to write instead of another tool's field in `path`, None if it is not known."""
    names = INSTEAD
    if path:
        steps = [step for step in path if isinstance(step, str)]
        if steps[0] in ("probes", "hooks") and len(steps) == 2:
            steps[1] = "*"
        names = INSIDE.get(".".join(steps), {})
    return names.get(name.replace("_", "").replace("-", "").lower())


def meant(value: str, choices: Collection[str]) -> str | None:
    """Return which choice another tool's word stands for, None if for none."""
    choice = _MEANT.get(value.lower(), "")
    return choice if choice in choices else None


def instead_of_value(value: str, choices: Collection[str]) -> str | None:
    """Return what to write instead of a word that stands for no choice."""
    choice, remedy = _VALUES.get(value.lower().removeprefix("cap_"), ("", ""))
    return remedy if choice in choices else None
