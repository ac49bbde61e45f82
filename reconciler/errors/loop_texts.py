"""What the codes of loader, control loop and command line (100-199) mean, for users.

Pure data, read through `reconciler.errors.catalogue`: (code, meaning, likely causes, actions).
In the actions, what stands in backticks can be typed, with the capital words replaced. The
paths are those of root; `--run-dir` and `--state-dir` move them.
"""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode
from reconciler.errors.engine_texts import Row

ROWS: tuple[Row, ...] = (
    (
        ErrorCode.SpecUnreadable,
        (
            "A spec file cannot be read. A container that it named keeps running on its last good "
            "spec."
        ),
        (
            "the file's mode forbids it",
            (
                "it is a link to nothing, a directory, a FIFO or a device; a link to /dev/null is "
                "meant: it masks the file of the same name in an earlier directory"
            ),
            "it is a drop-in (`NAME.yaml.d/*.yaml`, `container.d/*.yaml`) that cannot be read",
            "git replaces files in the source: it takes effect when `.git/index.lock` is gone",
        ),
        (
            "a lock that git left behind, with no git at work: `rm DIR/.git/index.lock`",
            "look at it: `ls -lL FILE`",
            "repair it (`chmod a+r FILE`) or move it away, then `reconciler validate DIR`",
        ),
    ),
    (
        ErrorCode.SpecSyntax,
        (
            "A spec file is not valid YAML or JSON. A container that it named keeps running on its "
            "last good spec."
        ),
        (
            "a tab or a wrong indentation; a colon or a bracket too many or too few",
            "the same key twice in one mapping",
            (
                "the file is empty, half-written or not UTF-8 text; only in a later directory, and "
                "if it gave no spec before, an empty file masks"
            ),
            "the place is in a drop-in or an env file that the spec uses: look at the file's name",
        ),
        (
            "go to the line and column of the message, then check: `reconciler validate FILE`",
            "write files whole: write `FILE.tmp`, then `mv FILE.tmp FILE`",
        ),
    ),
    (
        ErrorCode.SpecSchema,
        "A spec has an unknown field, lacks one that it needs, or has a value of the wrong type.",
        (
            "a typing error in a field's name; the message suggests the nearest one",
            "a number or a word without quotes where text is wanted, or text where a list is",
            "a field of another tool: compose, Kubernetes, systemd",
        ),
        (
            "correct it, then check: `reconciler validate DIR`",
            "see which drop-in a value comes from: `reconciler show --merged NAME`",
            "see all fields with their types and defaults: `reconciler schema`",
        ),
    ),
    (
        ErrorCode.SpecValue,
        "A field has the right type but not a value that it can have.",
        (
            "a quantity without a known unit: write 256Mi, 1500m, 30s",
            "a number outside of its range",
            "a user, a signal, a capability or a path that is not well formed",
        ),
        (
            "correct it, then check: `reconciler validate DIR`",
            "see what the field may be, and an example: `reconciler schema`",
        ),
    ),
    (
        ErrorCode.SpecDuplicateName,
        (
            "Two specs have the same name. The one that has it already stays in force, the other "
            "is not used."
        ),
        (
            "files with the same stem and another ending in one directory: web.yaml and web.yml",
            "the same `name` in two documents or files; a copy of a file",
            (
                "a file in a second directory that is to override one in the first: it does so by "
                "its own name, not by the `name` in it"
            ),
        ),
        (
            "see both places: `reconciler validate DIR`",
            "rename or remove one of them: `mv OLD.yaml NEW.yaml`",
        ),
    ),
    (
        ErrorCode.SpecTooLarge,
        (
            "A spec file is larger than is safe to read: more than 1Mi of text, 64 levels of "
            "nesting or 100,000 values, aliases counted each time. So is a drop-in or an env file."
        ),
        (
            "the file is no spec",
            "aliases in the YAML that multiply",
        ),
        (
            "look at its size: `ls -l FILE`",
            "split it into files of one container each; move data into files and mount them",
        ),
    ),
    (
        ErrorCode.SpecCycle,
        (
            "Containers depend on one another in a circle, so that none of them could start "
            "first. Each of them keeps its last good spec, if it has one."
        ),
        (
            "a `dependsOn` entry the wrong way round",
            "a name copied from another file; a drop-in that adds an entry",
        ),
        (
            "remove one of the entries that the message names, at the line and column it gives",
            (
                "check: `reconciler validate DIR`; see what a file and its drop-ins make: "
                "`reconciler show --merged NAME`"
            ),
        ),
    ),
    (
        ErrorCode.SourceMissing,
        "A source directory does not exist. Nothing that came from it is pruned.",
        (
            "a typing error",
            "a disk that is not mounted",
            "it was moved or removed",
        ),
        (
            "look at it: `ls -ld DIR`",
            "name another one: `reconciler apply DIR`",
            "if its containers are to go: `mkdir DIR`, then `reconciler apply --allow-empty DIR`",
        ),
    ),
    (
        ErrorCode.SourceUnreadable,
        "A source directory cannot be read. Nothing that came from it is pruned.",
        (
            "its mode or that of a directory above it forbids it",
            "its disk reports errors",
        ),
        (
            "look at the whole way to it: `namei -l DIR`",
            "run it as root: `sudo reconciler apply DIR`",
        ),
    ),
    (
        ErrorCode.SourceEmpty,
        (
            "A source that containers came from has no spec file any more. This is more often an "
            "accident than a wish, so that nothing is pruned."
        ),
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
    (
        ErrorCode.PruneRefused,
        (
            "A pass would have destroyed containers that no file names any more, and a guard "
            "stopped that. All else was done."
        ),
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
    (
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
    (
        ErrorCode.NotOwned,
        (
            "A container of this name exists and belongs to another source, or was not made from a "
            "file. It is left alone."
        ),
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
    (
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
    (
        ErrorCode.Usage,
        "The command line cannot be understood. Nothing was done.",
        (
            "an unknown verb, option or error code",
            "a missing or a superfluous argument",
        ),
        (
            "see the verbs: `reconciler --help`",
            "see a verb's options and examples: `reconciler apply --help`",
        ),
    ),
    (
        ErrorCode.WatchLimit,
        (
            "The kernel gives no more file watches, so that changes of files cannot be seen as "
            "they happen."
        ),
        (
            "other programs (editors, synchronisers) use up the user's inotify limits",
            "a source has very many directories",
        ),
        (
            "see the limits: `sysctl fs.inotify`",
            (
                "raise them: `sysctl -w fs.inotify.max_user_instances=1024 "
                "fs.inotify.max_user_watches=524288`"
            ),
            "or apply from a timer, which needs no watches: `reconciler apply DIR`",
        ),
    ),
    (
        ErrorCode.CrashLoop,
        (
            "The container ended again and again soon after its start, as often as its "
            "`restart.maxAttempts` allows. It is left alone until its file changes or it is "
            "restarted by hand."
        ),
        (
            "its command fails: a wrong argument, a missing file, a port in use",
            "its memory limit is too low: the last exit says out of memory",
            "it puts itself into the background, so that the process we started ends",
        ),
        (
            "see what it wrote: `reconciler logs NAME`",
            "see how it ended: `reconciler show NAME`",
            "correct its file; a changed spec is tried at once: `reconciler apply DIR`",
            "when the cause was elsewhere and is gone: `reconciler restart NAME`",
        ),
    ),
    (
        ErrorCode.LogsOff,
        "There is no log to show: the container's output goes to /dev/null.",
        ("its spec has `logs: none`",),
        (
            "remove `logs: none` from its file, or set a bound: `logs: {maxSize: 1Mi}`",
            "then `reconciler apply DIR`: it is restarted, and what it writes from then on is kept",
        ),
    ),
    (
        ErrorCode.ReactionFailed,
        (
            "A file that a spec refers to has changed, and what `onChange` declares for that could "
            "not be done. The container runs on; it is tried again after a backoff."
        ),
        (
            "the command of `exec` failed or took longer than 10 s; the message has its last words",
            "the container's command does not handle the signal, so that the kernel drops it",
        ),
        (
            "try it by hand: `reconciler exec NAME -- COMMAND`, `reconciler signal NAME HUP`",
            "correct the changed file, or declare `onChange: restart` and `reconciler apply DIR`",
        ),
    ),
    (
        ErrorCode.PreStopFailed,
        (
            "The command of `stop.preStop` failed or took longer than the grace period. The "
            "container was stopped all the same."
        ),
        (
            (
                "the program is not in the container, or not for its user; the message has its "
                "last words"
            ),
            "it takes longer than `stop.grace`, which it is a part of",
        ),
        (
            "try it by hand: `reconciler exec NAME -- COMMAND`",
            "give it more time with `stop: {grace: 30s}`",
        ),
    ),
    (
        ErrorCode.ProbeFailed,
        (
            "A probe of the container has failed as often in a row as its `failureThreshold` "
            "allows. A failed readiness probe makes it not ready; a failed startup or liveness "
            "probe stops it, and its restart policy decides whether it is started again."
        ),
        (
            "the service hangs, is overloaded, or takes longer to start than the probe allows",
            "the probe asks at the wrong port, path or socket, or its `timeout` is too short",
            "the container has no network of the host's: it can only be asked at its own addresses",
        ),
        (
            "see which probe fails, since when and why: `reconciler why NAME`",
            "see what the service wrote: `reconciler logs NAME`",
            "try the check by hand: `reconciler exec NAME -- COMMAND`",
            (
                "correct the probe in its file, or give it more time: `timeout`, "
                "`failureThreshold`, a `startup` probe; then `reconciler apply DIR`"
            ),
        ),
    ),
    (
        ErrorCode.PlanStale,
        (
            "A plan that was kept in a file is not carried out, since what is desired or what is "
            "there is no longer what it was made for. Nothing was changed."
        ),
        (
            "the plan has been applied already",
            "a spec file was edited, added or removed since",
            "a container ended, was restarted, frozen or given other limits since",
        ),
        (
            "see what is to be done now: `reconciler plan DIR`",
            "make a new plan: `reconciler plan DIR --out FILE`",
            "and apply that: `reconciler apply --plan FILE`",
        ),
    ),
    (
        ErrorCode.PlanFileInvalid,
        "A file that was given as a plan cannot be understood. Nothing was changed.",
        (
            "it was not written by `reconciler plan --out`, or was changed since",
            "it was written by another version of reconciler",
        ),
        ("make a new one: `reconciler plan DIR --out FILE`",),
    ),
    (
        ErrorCode.Internal,
        "A bug in reconciler. Containers that run go on running.",
        ("a case that the program does not provide for",),
        (
            "get the stack trace: run the same command with `--debug`",
            "report it with the trace and the output of `reconciler version --output json`",
        ),
    ),
)
