"""What the engine's error codes (1-59) mean and what to do, for users.

Pure data, read through `reconciler.errors.catalogue`: (code, meaning, likely causes, actions).
In the actions, what stands in backticks can be typed, with the capital words replaced. The
paths are those of root; `--run-dir` and `--state-dir` move them.
"""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode

Row = tuple[ErrorCode, str, tuple[str, ...], tuple[str, ...]]

ROWS: tuple[Row, ...] = (
    (
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
    (
        ErrorCode.InvalidIdFormat,
        (
            "The name cannot be a container's: it becomes a directory, a cgroup and the host name. "
            "A name has 1 to 63 letters, digits, '_', '-' and '.', begins with a letter or a digit "
            "and has no '..'."
        ),
        (
            "the file's name without its ending is no such name, and the file gives none",
            "the field `name` has a slash, a space or another character",
        ),
        (
            "rename the file: `mv 'my app.yaml' my-app.yaml`",
            "or set `name: my-app` in it, then check: `reconciler validate DIR`",
        ),
    ),
    (
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
    (
        ErrorCode.ContainerDestroyed,
        "The container was destroyed while it was being worked on.",
        ("somebody ran `reconciler destroy`, or removed its file while a pass was under way",),
        ("nothing, if that was meant; else make it again: `reconciler apply DIR`",),
    ),
    (
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
    (
        ErrorCode.ContainerNotStopped,
        "The container is running, and this needs it to be stopped.",
        ("another program started it in the meantime",),
        (
            "run it again, a pass stops what it must: `reconciler apply DIR`",
            "to have it stopped, set `state: stopped` in its file and apply",
        ),
    ),
    (
        ErrorCode.ContainerNotRunning,
        "The container has no running process, and this needs one.",
        (
            "its command has ended",
            "it was never started",
            "it was stopped in the meantime",
        ),
        (
            "see how it ended: `reconciler show NAME`",
            "see what it wrote: `reconciler logs NAME`",
            "start it, if its file says so: `reconciler apply DIR`",
        ),
    ),
    (
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
    (
        ErrorCode.ConfigInvalid,
        (
            "The spec is well formed but asks for what cannot be, or contradicts itself. Each "
            "problem is listed; a container that runs keeps its last good spec."
        ),
        (
            "the working directory does not exist in the root file system",
            "a mount target leads to the wrong kind of file, or outside",
        ),
        (
            "see all problems with their places: `reconciler validate DIR`",
            "correct the named field, then `reconciler apply DIR`",
        ),
    ),
    (
        ErrorCode.SystemError,
        "The kernel refused an operation. The error names the operation, the errno and the path.",
        (
            "the host is short of memory, processes or open files",
            "another program removed or changed what was being worked on",
        ),
        (
            "see context and stack trace: run the same command with `--debug`",
            "see what the kernel says: `dmesg | tail -n 50`",
            "then run it again, a pass does what is left to do: `reconciler apply DIR`",
        ),
    ),
    (
        ErrorCode.CommandNotFound,
        "The command does not exist inside the container.",
        (
            "it is not installed in the container's root file system",
            "it is not on the PATH inside, which `env: {PATH: ...}` may have changed",
            "a mount hides the directory that it is in",
        ),
        (
            "give the full path as seen from inside: `command: [/usr/bin/python3, -m, ...]`",
            "look for it there: `ls -l ROOTFS/usr/bin/COMMAND`",
        ),
    ),
    (
        ErrorCode.CommandNotExecutable,
        "The command exists, but the kernel cannot or may not execute it.",
        (
            (
                "it is not executable for the container's user (without `user` and with the "
                "host's root file system, that is nobody)"
            ),
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
    (
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
    (
        ErrorCode.MountSourceNotFound,
        (
            "The source of a bind mount does not exist. It is not made, so that a typing error "
            "does not become an empty directory."
        ),
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
    (
        ErrorCode.UserNotFound,
        (
            "A user or group name is not in /etc/passwd or /etc/group of the container's root file "
            "system. Names are looked up there, not on the host."
        ),
        (
            "the root file system has no such user",
            "a typing error",
        ),
        (
            'use numbers, which need no entry: `user: "1000:1000"`',
            "see which there are: `cut -d: -f1 ROOTFS/etc/passwd`",
        ),
    ),
    (
        ErrorCode.LimitNotSupported,
        (
            "This host cannot enforce a limit that the spec sets, so that the container is not "
            "started without it. The error names the field and the remedy."
        ),
        (
            "the kernel lacks the cgroup controller, or it is switched off at boot",
            "the controller is not delegated to our cgroup",
            "the field needs cgroup v2: `resources.memory.high`",
            "root lacks CAP_SYS_RESOURCE, which higher rlimits and a lower oomScoreAdj need",
        ),
        (
            "see those of cgroup v1: `cat /proc/cgroups`",
            "see those of cgroup v2: `cat /sys/fs/cgroup/cgroup.controllers`",
            "in a systemd service: `systemctl edit UNIT`, and add `Delegate=yes` under [Service]",
            "for memory and swap, boot with `cgroup_enable=memory swapaccount=1`",
            "or remove the field from the spec",
        ),
    ),
    (
        ErrorCode.LimitNotApplied,
        (
            "The kernel took a limit and then showed another value than was written, or a lower "
            "memory limit cannot be reached: more is in use than can be reclaimed. The limits "
            "that were in force are put back, and what runs goes on with them."
        ),
        (
            "the container uses more memory than `resources.memory.max` is to be",
            "another program writes to the same cgroup",
            "a cgroup above ours allows less: fewer CPUs, less memory",
        ),
        (
            "see what it uses: `reconciler stats NAME`; ask for more than that",
            "or have it use less: `reconciler restart NAME`, then `reconciler apply DIR`",
            "compare desired and actual values: `reconciler plan DIR`",
            "look at the cgroup that the error names and the one above: `grep . PATH/*.max`",
            "ask for what the cgroup above allows, then `reconciler apply DIR`",
        ),
    ),
    (
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
    (
        ErrorCode.NoSpace,
        (
            "There is no room left: on a file system, in a quota, or in a count that the kernel "
            "keeps. What runs goes on; log lines that find no room are counted and dropped."
        ),
        (
            "the file system of logs, state or run directory is full, or has no inodes left",
            "a quota is used up",
            "the limit on namespaces is reached",
        ),
        (
            "see what is full: `df -h /run /var/lib; df -i /run /var/lib`",
            "keep fewer logs: `logs: {maxSize: 1Mi, maxFiles: 2}` in the spec",
            "see the limits on namespaces: `sysctl user | grep namespaces`",
        ),
    ),
    (
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
    (
        ErrorCode.MonitorLost,
        (
            "The monitor ended while it was being asked. Containers go on running and logging; the "
            "next command starts another one, which adopts them."
        ),
        (
            "somebody killed it",
            "the kernel killed it when memory ran out",
        ),
        (
            "run the command again; to see that all were adopted: `reconciler status`",
            "see whether it was for want of memory: `dmesg | grep -i 'killed process'`",
            "read what it wrote: `cat /run/reconciler/monitor.log`",
        ),
    ),
    (
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
    (
        ErrorCode.StepFailed,
        (
            "A step of the container's set-up failed, before its command ran. The error names the "
            "step, the errno and the path; nothing of the attempt is left."
        ),
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
    (
        ErrorCode.StopTimeout,
        "The container's processes did not end, not even by SIGKILL.",
        ("a process waits in the kernel for a disk or a file server that does not answer",),
        (
            "find it, in state D: `ps -eo pid,stat,wchan:32,args | awk '$2 ~ /^D/'`",
            "free it from a lost file server: `umount -f MOUNTPOINT`",
            "then: `reconciler apply DIR`",
        ),
    ),
    (
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
    (
        ErrorCode.CgroupUnavailable,
        "There is no cgroup in which containers can be placed.",
        (
            "no cgroup hierarchy is mounted, or it is mounted read-only",
            "our own cgroup may not be written, as in a container",
            "we are an ordinary user to whom none is delegated: limits, figures, `pause` need one",
            "`--cgroup-parent` names no cgroup path",
        ),
        (
            "see the mounts: `grep cgroup /proc/mounts`",
            "mount it: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`",
            "or say where: `reconciler apply --cgroup-parent /containers DIR`",
            "with systemd: `systemd-run --user --scope -p Delegate=yes reconciler apply DIR`",
        ),
    ),
)
