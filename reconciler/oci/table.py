"""The table of verbs and options, as `main` parses them and `--help` shows them."""

from __future__ import annotations

from reconciler.oci.options import Kind, Option, Verb

GLOBAL = (
    Option("root", "directory of the containers' state, in a tmpfs", Kind.TEXT, value="DIR"),
    Option("log", "file for messages, in place of standard error", Kind.TEXT, value="FILE"),
    Option("log-format", "format of messages: text or json", Kind.TEXT, default="text"),
    Option("debug", "write more messages, and stack traces"),
    Option("systemd-cgroup", "as --cgroup-manager=systemd"),
    Option(
        "cgroup-manager",
        "who makes cgroups: cgroupfs, systemd or disabled",
        Kind.TEXT,
        default="cgroupfs",
        value="NAME",
    ),
    Option("rootless", "true, false or auto; cgroups go where we may write", Kind.TEXT),
    Option("criu", "path of criu, for checkpoint and restore", Kind.TEXT, default="criu"),
    Option("version", "show the version", letter="v"),
)

_BUNDLE = Option("bundle", "directory of the bundle", Kind.TEXT, "b", ".", "DIR")
_CONSOLE = Option(
    "console-socket", "unix socket that gets the terminal's master", Kind.TEXT, value="PATH"
)
_PIDFD = Option("pidfd-socket", "unix socket that gets a pidfd of the process", Kind.TEXT)
_PID_FILE = Option("pid-file", "file to write the pid to", Kind.TEXT, value="FILE")
_PRESERVE = Option(
    "preserve-fds", "descriptors from 3 on (after $LISTEN_FDS) to hand on", Kind.NUMBER, "", 0, "N"
)
_CREATE = (
    _BUNDLE,
    Option("config", "file to read in place of the bundle's config.json", Kind.TEXT, "f"),
    _CONSOLE,
    _PID_FILE,
    _PIDFD,
    Option("no-pivot", "do not use pivot_root(2): for a root on an initial ramdisk"),
    Option("no-new-keyring", "keep the caller's session keyring"),
    _PRESERVE,
)
_DETACH = Option("detach", "do not wait for the end of the process", letter="d")
_FORMAT = Option("format", "table or json", Kind.TEXT, "f", "table")

_EXEC = (
    _CONSOLE,
    Option("cwd", "working directory", Kind.TEXT, value="DIR"),
    Option("env", "set an environment variable", Kind.LIST, "e", value="NAME=VALUE"),
    Option("tty", "give it a terminal", letter="t"),
    Option("user", "user, and group", Kind.TEXT, "u", value="UID[:GID]"),
    Option("additional-gids", "supplementary group", Kind.LIST, "g", value="GID"),
    Option("process", "file with the process as in config.json", Kind.TEXT, "p", value="FILE"),
    _DETACH,
    _PID_FILE,
    _PIDFD,
    Option("process-label", "SELinux label", Kind.TEXT, value="LABEL"),
    Option("apparmor", "AppArmor profile", Kind.TEXT, value="PROFILE"),
    Option("no-new-privs", "forbid new privileges"),
    Option("cap", "give it a further capability", Kind.LIST, "c", value="CAP"),
    _PRESERVE,
    Option("ignore-paused", "go on in a paused container; it runs once that is resumed"),
    Option("cgroup", "sub-cgroup of the container's to run in", Kind.LIST, value="[NAME:]PATH"),
)
_UPDATE = (
    Option("resources", "file with linux.resources; - is standard input", Kind.TEXT, "r"),
    Option("blkio-weight", "I/O weight, 10 to 1000", Kind.NUMBER),
    Option("cpu-period", "period of the CPU quota in microseconds", Kind.NUMBER),
    Option("cpu-quota", "CPU time in a period in microseconds", Kind.NUMBER),
    Option("cpu-share", "CPU shares", Kind.NUMBER, "c"),
    Option("cpu-burst", "CPU time that may be saved up, in microseconds", Kind.NUMBER),
    Option("cpu-idle", "1: run only when nothing else would", Kind.NUMBER),
    Option("cpu-rt-period", "period of real-time scheduling in microseconds", Kind.NUMBER),
    Option("cpu-rt-runtime", "real-time CPU time in a period in microseconds", Kind.NUMBER),
    Option("cpuset-cpus", "CPUs to use", Kind.TEXT, value="LIST"),
    Option("cpuset-mems", "memory nodes to use", Kind.TEXT, value="LIST"),
    Option("memory", "memory limit in bytes", Kind.TEXT, "m"),
    Option("memory-reservation", "memory reservation in bytes", Kind.TEXT),
    Option("memory-swap", "memory and swap together in bytes; -1 is unlimited", Kind.TEXT),
    Option("pids-limit", "processes at most; -1 is unlimited", Kind.NUMBER),
    Option("kernel-memory", "ignored: kernels no longer have it", Kind.TEXT),
    Option("kernel-memory-tcp", "ignored: kernels no longer have it", Kind.TEXT),
    Option("l3-cache-schema", "not supported", Kind.TEXT),
    Option("mem-bw-schema", "not supported", Kind.TEXT),
)
_CHECKPOINT = (
    Option("image-path", "directory of the checkpoint", Kind.TEXT, default="checkpoint"),
    Option("work-path", "directory of criu's files and logs", Kind.TEXT),
    Option("parent-path", "directory of an earlier checkpoint", Kind.TEXT),
    Option("tcp-established", "allow open TCP connections"),
    Option("ext-unix-sk", "allow external unix sockets"),
    Option("shell-job", "allow shell jobs"),
    Option("lazy-pages", "use userfaultfd"),
    Option("file-locks", "handle file locks"),
    Option("manage-cgroups-mode", "soft, full or strict", Kind.TEXT),
    Option("empty-ns", "a namespace to make empty", Kind.LIST),
    Option("auto-dedup", "drop duplicates of the parent's pages"),
)

_ID = "CONTAINER"
VERBS = (
    Verb(
        "create",
        "Make a container and its process, which waits for start.",
        _ID,
        1,
        1,
        _CREATE,
    ),
    Verb("start", "Let the process of a created container run its command.", _ID, 1, 1),
    Verb("state", "Show the state of a container as JSON.", _ID, 1, 1),
    Verb(
        "kill",
        "Send a signal, TERM by default, to the first process of a container.",
        f"{_ID} [SIGNAL]",
        1,
        2,
        (Option("all", "send it to all processes of the container", letter="a"),),
        details="SIGNAL is a number or a name: 9, KILL, SIGKILL, RTMIN+1.",
    ),
    Verb(
        "delete",
        "Remove a stopped container, or one that was never started.",
        _ID,
        1,
        1,
        (
            Option("force", "kill it first if it runs; fine if it is gone", letter="f"),
            Option("regex", "CONTAINER is a regular expression: remove all whose id has a match"),
        ),
    ),
    Verb(
        "run",
        "Create and start a container; in the foreground, wait for it and remove it.",
        _ID,
        1,
        1,
        (
            *_CREATE,
            _DETACH,
            Option("keep", "do not remove it at its end"),
            Option("no-subreaper", "do not adopt orphans of the container"),
        ),
        details="The exit code is that of the container's command, 128 + N for signal N.",
    ),
    Verb(
        "exec",
        "Run a further process in a running container.",
        f"{_ID} COMMAND [ARGUMENT ...]",
        1,
        None,
        _EXEC,
        takes_command=True,
        details="The exit code is that of the command; 255 when it could not be run.",
    ),
    Verb(
        "list",
        "List the containers.",
        "",
        0,
        0,
        (_FORMAT, Option("quiet", "show ids alone", letter="q")),
    ),
    Verb(
        "ps",
        "Show the processes of a container; arguments are ps(1)'s.",
        f"{_ID} [PS ARGUMENT ...]",
        1,
        None,
        (_FORMAT,),
        takes_command=True,
    ),
    Verb("pause", "Freeze all processes of a container.", _ID, 1, 1),
    Verb("resume", "Let a paused container go on.", _ID, 1, 1),
    Verb("update", "Change the limits of a container.", _ID, 1, 1, _UPDATE),
    Verb(
        "events",
        "Show figures and OOM kills of a container, one JSON object a line.",
        _ID,
        1,
        1,
        (
            Option("interval", "time between figures", Kind.TEXT, default="5s"),
            Option("stats", "show the figures once and end"),
        ),
    ),
    Verb("features", "Show what this runtime can do, as JSON.", "", 0, 0),
    Verb(
        "spec",
        "Write a config.json to begin with.",
        "",
        0,
        0,
        (_BUNDLE, Option("rootless", "for a user other than root")),
    ),
    Verb(
        "checkpoint",
        "Save a running container to disk, with CRIU.",
        _ID,
        1,
        1,
        (
            *_CHECKPOINT,
            Option("leave-running", "let it go on"),
            Option("page-server", "ADDRESS:PORT of a criu page server", Kind.TEXT),
            Option("pre-dump", "save memory alone, and let it go on"),
            Option("status-fd", "descriptor told when lazy pages are ready", Kind.NUMBER),
        ),
    ),
    Verb(
        "restore",
        "Bring back a container from a checkpoint, with CRIU.",
        _ID,
        1,
        1,
        (*_CREATE, *_CHECKPOINT, _DETACH, Option("no-subreaper", "do not adopt orphans")),
    ),
)
