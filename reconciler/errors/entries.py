"""What each error code means, where it comes from and what to do, for users.

Read through `reconciler.errors.catalogue`. In the actions, what stands in backticks can be
typed as it is, with the capital words replaced. The paths are those of root; `--run-dir` and
`--state-dir` move them.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors.codes import ErrorCode


@dataclass(frozen=True, slots=True)
class Entry:
    """One code explained: a sentence or two, likely causes, and actions with their commands."""

    code: ErrorCode
    meaning: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]


ENTRIES: tuple[Entry, ...] = (
    # --- libcontainer's names
    Entry(
        ErrorCode.IdInUse,
        "A container of this name exists already; nothing was made or changed.",
        (
            "another program made it at the same moment",
            "two programs that use the engine share one run directory",
        ),
        (
            "look at the one that has the name: `reconciler show NAME`",
            "if it is not wanted any more: `reconciler destroy NAME`",
            "to keep two sets apart, give each its own `--run-dir` and `--state-dir`",
        ),
    ),
    Entry(
        ErrorCode.InvalidIdFormat,
        "The name cannot be a container's. A name has 1 to 63 letters, digits, '_', '-' and '.',"
        " begins with a letter or a digit and has no '..': it becomes a directory, a cgroup and"
        " the host name.",
        (
            "the file's name without its ending is no such name, and the file gives none",
            "the field `name` has a slash, a space or another character",
        ),
        (
            "rename the file: `mv 'my app.yaml' my-app.yaml`",
            "or set `name: my-app` in it, then check: `reconciler validate DIR`",
        ),
    ),
    Entry(
        ErrorCode.ContainerNotExists,
        "There is no container of this name.",
        (
            "it was destroyed, or never made",
            "it belongs to another instance, with another run directory",
            "the machine was restarted, and nothing was applied since",
        ),
        (
            "list what there is: `reconciler status`",
            "make what the files ask for: `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.ContainerDestroyed,
        "The container was destroyed while it was being worked on.",
        ("somebody ran `reconciler destroy`, or removed its file while a pass was under way",),
        ("nothing, if that was meant; else make it again: `reconciler apply DIR`",),
    ),
    Entry(
        ErrorCode.ContainerPaused,
        "The container is paused: its processes are frozen, and this needs them to run.",
        (
            "its file says `state: paused`",
            "something froze its cgroup; the next pass puts that right",
        ),
        (
            "set `state: running` in its file, then `reconciler apply DIR`",
            "see what it is now: `reconciler show NAME`",
        ),
    ),
    Entry(
        ErrorCode.ContainerNotStopped,
        "The container is running, and this needs it to be stopped.",
        ("another program started it in the meantime",),
        (
            "run it again, a pass stops what it must: `reconciler apply DIR`",
            "to have it stopped, set `state: stopped` in its file and apply",
        ),
    ),
    Entry(
        ErrorCode.ContainerNotRunning,
        "The container has no running process, and this needs one.",
        ("its command has ended", "it was never started", "it was stopped in the meantime"),
        (
            "see how it ended: `reconciler show NAME`",
            "see what it wrote: `reconciler logs NAME`",
            "start it, if its file says so: `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.ProcessNotExecuted,
        "The kernel refused to execute the command, for a reason that has no code of its own.",
        (
            "arguments and environment together are too long",
            "too many symbolic links, or a file system error, on the way to the command",
        ),
        (
            "read the errno in the error's detail: `reconciler apply --debug DIR`",
            "shorten `command` and `env` in its file, or keep long values in a file",
        ),
    ),
    Entry(
        ErrorCode.ConfigInvalid,
        "The spec is well formed but asks for what cannot be, or contradicts itself. Each problem"
        " is listed; a container that runs keeps its last good spec.",
        (
            "the working directory does not exist in the root file system",
            "a mount target leads to the wrong kind of file, or outside",
        ),
        (
            "see all problems with their places: `reconciler validate DIR`",
            "correct the named field, then `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.SystemError,
        "The kernel refused an operation. The error names the operation, the errno and the path.",
        (
            "the host is short of memory, processes or open files",
            "another program removed or changed what was being worked on",
        ),
        (
            "see context and stack trace: run the same command with `--debug`",
            "see what the kernel says: `dmesg | tail -n 50`",
            "then run it again, a pass goes on where the last one stopped: `reconciler apply DIR`",
        ),
    ),
    # --- the engine's own
    Entry(
        ErrorCode.CommandNotFound,
        "The command does not exist inside the container.",
        (
            "it is not installed in the container's root file system",
            "it is not on the PATH inside, which `env: {PATH: ...}` may have changed",
            "a mount hides the directory that it is in",
        ),
        (
            "give the full path as seen from inside: `command: [/usr/bin/python3, -m, ...]`",
            "look for it there: `ls -l ROOTFS/usr/bin/COMMAND` (without `rootfs.path`, the host's)",
        ),
    ),
    Entry(
        ErrorCode.CommandNotExecutable,
        "The command exists, but the kernel cannot or may not execute it.",
        (
            "it is not executable for the container's user (without `user` and with the host's"
            " root file system, that is nobody)",
            "it is a script without a #! line, or its interpreter or loader is missing inside",
            "it was built for another kind of machine",
            "it is on a mount with the option `noexec`",
        ),
        (
            "look at its mode and kind: `ls -l FILE` and `file FILE`",
            "make it executable for all: `chmod a+rx FILE`",
            "or run it by its interpreter: `command: [/bin/sh, FILE]`",
        ),
    ),
    Entry(
        ErrorCode.RootfsNotFound,
        "The directory in `rootfs.path` does not exist or is no directory.",
        (
            "a typing error",
            "a relative path: it counts from the spec file's directory",
            "the disk that holds it is not mounted",
        ),
        (
            "look at it: `ls -ld ROOTFS`",
            "correct `rootfs.path`, or leave it out to use the host's root, read-only",
        ),
    ),
    Entry(
        ErrorCode.MountSourceNotFound,
        "The source of a bind mount does not exist. It is never made by itself, so that a typing"
        " error does not become an empty directory.",
        (
            "a typing error",
            "a relative path: it counts from the spec file's directory",
            "the disk that holds it is not mounted",
        ),
        (
            "make it: `mkdir -p SOURCE`",
            "or correct `source` of the mount that the error names",
        ),
    ),
    Entry(
        ErrorCode.UserNotFound,
        "A user or group name is not in /etc/passwd or /etc/group of the container's root file"
        " system. Names are looked up there, not on the host.",
        ("the root file system has no such user", "a typing error"),
        (
            'use numbers, which need no entry: `user: "1000:1000"`',
            "see which there are: `cut -d: -f1 ROOTFS/etc/passwd`",
        ),
    ),
    Entry(
        ErrorCode.LimitNotSupported,
        "This host cannot enforce a limit that the spec sets, so that the container is not"
        " started without it. The error names the field and the remedy.",
        (
            "the kernel lacks the cgroup controller, or it is switched off at boot",
            "the controller is not delegated to our cgroup",
            "the field needs cgroup v2: `resources.memory.high`",
            "root lacks CAP_SYS_RESOURCE, which higher rlimits and a lower oomScoreAdj need",
        ),
        (
            "see the controllers: `cat /proc/cgroups` and `cat /sys/fs/cgroup/cgroup.controllers`",
            "have them delegated by systemd: `systemctl set-property UNIT Delegate=yes`",
            "for memory and swap, boot with `cgroup_enable=memory swapaccount=1`",
            "or remove the field from the spec",
        ),
    ),
    Entry(
        ErrorCode.LimitNotApplied,
        "The kernel took a limit and then showed another value than was written.",
        (
            "another program writes to the same cgroup",
            "a cgroup above ours allows less: fewer CPUs, less memory",
        ),
        (
            "compare desired and actual values: `reconciler plan DIR` and `reconciler show NAME`",
            "see who works with our cgroups: `fuser -v /sys/fs/cgroup/PATH`",
            "ask for what the cgroup above allows, then `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.PermissionDenied,
        "The kernel refused something for want of a privilege.",
        (
            "it does not run as root",
            "it runs in a container itself that lacks CAP_SYS_ADMIN or writable cgroups",
            "a security module (AppArmor, SELinux) or the mode of a directory forbids it",
        ),
        (
            "run it as root: `sudo reconciler apply DIR`",
            "see whether a security module refused it: `dmesg | grep -iE 'denied|apparmor|avc'`",
            "look at the directory that the error names: `namei -l PATH`",
        ),
    ),
    Entry(
        ErrorCode.NoSpace,
        "There is no room left: on a file system, in a quota, or in a count that the kernel"
        " keeps. What runs goes on; log lines that find no room are counted and dropped.",
        (
            "the file system of logs and state or of the run directory is full, or has no"
            " inodes left",
            "a quota is used up",
            "the limit on namespaces is reached",
        ),
        (
            "see what is full: `df -h /run /var/lib; df -i /run /var/lib`",
            "keep fewer logs: `logs: {maxSize: 1Mi, maxFiles: 2}` in the spec",
            "see the limits on namespaces: `sysctl user | grep namespaces`",
        ),
    ),
    Entry(
        ErrorCode.MonitorUnavailable,
        "The monitor, the process that is parent to all containers, could not be started.",
        (
            "the run directory cannot be written",
            "no memory or no process was left for it",
            "another process holds its lock and does not answer",
        ),
        (
            "read what it wrote: `cat /run/reconciler/monitor.log`",
            "see who holds its lock: `fuser -v /run/reconciler/monitor.lock`",
            "try again, it starts on demand: `reconciler status`",
        ),
    ),
    Entry(
        ErrorCode.MonitorLost,
        "The monitor ended while it was being asked. Containers go on running and logging; the"
        " next command starts another one, which adopts them.",
        ("somebody killed it", "the kernel killed it when memory ran out"),
        (
            "run the command again; to see that all were adopted: `reconciler status`",
            "see whether it was for want of memory: `dmesg | grep -i 'killed process'`",
            "read what it wrote: `cat /run/reconciler/monitor.log`",
        ),
    ),
    Entry(
        ErrorCode.RecordCorrupt,
        "A file that we keep for ourselves, mostly a container's record, cannot be understood.",
        (
            "another program wrote to the run or state directory",
            "the file is of a newer version of reconciler",
        ),
        (
            "if a file still names the container, it is made anew: `reconciler apply DIR`",
            "if none does, remove what is left of it: `reconciler destroy NAME`",
        ),
    ),
    Entry(
        ErrorCode.StepFailed,
        "A step of the container's set-up failed, before its command ran. The error names the"
        " step, the errno and the path; nothing of the attempt is left.",
        (
            "a mount's target, type or option is not possible there",
            "a file system or a kernel feature that the step needs is missing",
        ),
        (
            "read the step: `reconciler apply --debug DIR`",
            "see what the kernel says: `dmesg | tail -n 20`",
            "correct the field that the step comes from, then `reconciler validate DIR`",
        ),
    ),
    Entry(
        ErrorCode.StopTimeout,
        "The container's processes did not end, not even by SIGKILL.",
        (
            "a process waits in the kernel, for a disk or a network file system that does"
            " not answer",
        ),
        (
            "find it, in state D: `ps -eo pid,stat,wchan:32,args | awk '$2 ~ /^D/'`",
            "repair what it waits for (`umount -f MOUNTPOINT` for a lost NFS server), then"
            " `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.NotSupported,
        "This kernel, this machine or this version of reconciler cannot do what the spec asks.",
        (
            "the kernel is too old or was built without a feature",
            "the seccomp profile is for x86_64 and aarch64 alone",
            "a capability that cannot be given safely, as MKNOD",
        ),
        (
            "see kernel and machine: `uname -rm`",
            "leave out or change the field that the error names, then `reconciler validate DIR`",
            "on another kind of machine: `security: {seccomp: unconfined}`",
        ),
    ),
    Entry(
        ErrorCode.CgroupUnavailable,
        "There is no cgroup in which containers can be placed.",
        (
            "no cgroup hierarchy is mounted, or it is mounted read-only",
            "our own cgroup may not be written, as in a container or as a normal user",
            "`--cgroup-parent` names no cgroup path",
        ),
        (
            "see the mounts: `grep cgroup /proc/mounts`",
            "mount it: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`",
            "or say where: `reconciler apply --cgroup-parent /containers DIR`",
        ),
    ),
    # --- the loader's
    Entry(
        ErrorCode.SpecUnreadable,
        "A spec file cannot be read. A container that it named keeps running on its last good"
        " spec.",
        (
            "the file's mode forbids it",
            "it is a link to nothing, a directory, a FIFO or a device",
        ),
        (
            "look at it: `ls -lL FILE`",
            "repair it (`chmod a+r FILE`) or move it away, then `reconciler validate DIR`",
        ),
    ),
    Entry(
        ErrorCode.SpecSyntax,
        "A spec file is not valid YAML or JSON. A container that it named keeps running on its"
        " last good spec.",
        (
            "a tab or a wrong indentation; a colon or a bracket too many or too few",
            "the same key twice in one mapping",
            "the file is empty, half-written or not UTF-8 text",
        ),
        (
            "go to the line and column of the message, then check: `reconciler validate FILE`",
            "write files whole: write `FILE.tmp`, then `mv FILE.tmp FILE`",
        ),
    ),
    Entry(
        ErrorCode.SpecSchema,
        "A spec has an unknown field, lacks one that it needs, or has a value of the wrong type.",
        (
            "a typing error in a field's name; the message suggests the nearest one",
            "a number or a word without quotes where text is wanted, or text where a list is",
            "a field of another tool: compose, Kubernetes, systemd",
        ),
        (
            "check until it is silent: `reconciler validate DIR`",
            "see all fields with their types and defaults: `reconciler schema`",
        ),
    ),
    Entry(
        ErrorCode.SpecValue,
        "A field has the right type but not a value that it can have.",
        (
            "a quantity without a known unit: write 256Mi, 1500m, 30s",
            "a number outside of its range",
            "a user, a signal, a capability or a path that is not well formed",
        ),
        (
            "check until it is silent: `reconciler validate DIR`",
            "see what the field may be, and an example: `reconciler schema`",
        ),
    ),
    Entry(
        ErrorCode.SpecDuplicateName,
        "Two specs have the same name. The one that has it already stays in force, the other is"
        " not used.",
        (
            "files with the same stem and another ending: web.yaml and web.yml",
            "the same `name` in two documents or files; a copy of a file",
        ),
        (
            "see both places: `reconciler validate DIR`",
            "rename or remove one of them: `mv OLD.yaml NEW.yaml`",
        ),
    ),
    Entry(
        ErrorCode.SpecTooLarge,
        "A spec file is larger than is safe to read: more than 1Mi of text, 64 levels of nesting"
        " or 100,000 values, aliases counted each time.",
        ("the file is no spec", "YAML aliases that multiply"),
        (
            "look at its size: `ls -l FILE`",
            "split it into files of one container each; move data into files and mount them",
        ),
    ),
    Entry(
        ErrorCode.SourceMissing,
        "A source directory does not exist. Nothing that came from it is pruned.",
        ("a typing error", "a disk that is not mounted", "it was moved or removed"),
        (
            "look at it: `ls -ld DIR`",
            "name another one: `reconciler apply DIR`",
            "if its containers are to go: `mkdir DIR`, then `reconciler apply --allow-empty DIR`",
        ),
    ),
    Entry(
        ErrorCode.SourceUnreadable,
        "A source directory cannot be read. Nothing that came from it is pruned.",
        ("its mode or that of a directory above it forbids it", "its disk reports errors"),
        (
            "look at the whole way to it: `namei -l DIR`",
            "run it as root: `sudo reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.SourceEmpty,
        "A source that containers came from has no spec file any more. This is more often an"
        " accident than a wish, so that nothing is pruned.",
        (
            "a disk is not mounted, or a checkout or a copy is under way",
            "the last file was removed on purpose",
        ),
        (
            "look into it: `ls -lA DIR`",
            "if it is meant to be empty: `reconciler apply --allow-empty DIR`",
            "or by name: `reconciler destroy NAME`",
        ),
    ),
    # --- the control loop's and the command line's
    Entry(
        ErrorCode.PruneRefused,
        "A pass would have destroyed containers that no file names any more, and a guard stopped"
        " that. All else was done.",
        (
            "it would be more than half of the source's containers, or than `--max-prune` says",
            "a file of the source cannot be understood, and may be theirs",
        ),
        (
            "see what would go: `reconciler plan DIR`",
            "if it is meant: `reconciler apply --max-prune 100 DIR`",
            "if a file is at fault, repair it: `reconciler validate DIR`",
        ),
    ),
    Entry(
        ErrorCode.LockTimeout,
        "Another reconciler was at work on these containers, and did not finish in time.",
        (
            "a `reconciler watch` or another `apply` is in the middle of a long pass",
            "a process with the lock was stopped (SIGSTOP)",
        ),
        (
            "wait longer: `reconciler apply --timeout 2m DIR`",
            "see who has it: `fuser -v /run/reconciler/reconcile.lock`",
        ),
    ),
    Entry(
        ErrorCode.NotOwned,
        "A container of this name exists and belongs to another source, or was not made from a"
        " file. It is left alone.",
        (
            "two source directories have a file for the same name",
            "the source was moved, or is named by another path than before",
        ),
        (
            "see whose it is: `reconciler show NAME`",
            "rename the file: `mv OLD.yaml NEW.yaml`",
            "or give the name free, which stops it: `reconciler destroy NAME`",
        ),
    ),
    Entry(
        ErrorCode.NameNotFound,
        "No container has the name that was given on the command line.",
        (
            "a typing error",
            "it was destroyed",
            "it belongs to an instance with another `--run-dir`",
        ),
        (
            "list what there is: `reconciler status`",
            "make what the files ask for: `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.Usage,
        "The command line cannot be understood. Nothing was done.",
        ("an unknown verb, option or error code", "a missing or a superfluous argument"),
        (
            "see the verbs: `reconciler --help`",
            "see a verb's options and examples: `reconciler apply --help`",
        ),
    ),
    Entry(
        ErrorCode.WatchLimit,
        "The kernel gives no more file watches, so that changes of files cannot be seen as they"
        " happen.",
        (
            "other programs (editors, synchronisers) use up the user's inotify limits",
            "a source has very many directories",
        ),
        (
            "see the limits: `sysctl fs.inotify`",
            "raise them: `sysctl -w fs.inotify.max_user_instances=1024"
            " fs.inotify.max_user_watches=524288`",
            "or apply from a timer, which needs no watches: `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.CrashLoop,
        "The container ends again and again soon after its start. It is started again after a"
        " wait that grows up to `restart.backoff.max`.",
        (
            "its command fails: a wrong argument, a missing file, a port in use",
            "its memory limit is too low: the last exit says out of memory",
            "it puts itself into the background, so that the process we started ends",
        ),
        (
            "see what it wrote: `reconciler logs NAME`",
            "see how it ended: `reconciler show NAME`",
            "correct its file; a changed spec is tried at once: `reconciler apply DIR`",
        ),
    ),
    Entry(
        ErrorCode.Internal,
        "A bug in reconciler. What runs is not touched by it.",
        ("a case that the program does not provide for",),
        (
            "get the stack trace: run the same command with `--debug`",
            "report it with the trace and the output of `reconciler version --output json`",
        ),
    ),
)
