"""One file per verb, each with the same three things.

    EXAMPLES                  what `--help` shows at its end
    add_arguments(parser)     its own arguments; those of all verbs are there already
    run(args) -> int          does it and returns the exit code

One that runs a command of the user's also has `split_command(arguments)`, which parts that from
its own arguments; it is then in `args.command`.

Imported one at a time by `reconciler.cli.main`. A verb may not import another one.
"""

VERBS = {
    "validate": "check spec files and show every problem",
    "plan": "show what apply would do, and change nothing",
    "drift": "show what is not as the specs say, field by field",
    "apply": "make the containers equal to the sources, once",
    "watch": "make them equal and keep them so, until SIGTERM",
    "status": "show the containers and how they are",
    "show": "show all that is known of one container",
    "why": "tell on one screen why a container is as it is, and what happens next",
    "logs": "print what a container has written",
    "exec": "run a further command in a running container",
    "stats": "show what running containers use",
    "top": "show live what running containers use, the busiest first",
    "signal": "send a signal to a container's first process",
    "restart": "stop containers gracefully and start them again",
    "pause": "freeze containers, and keep them so",
    "resume": "let containers run on that were paused by hand",
    "events": "show what was done and what became of it",
    "suspend": "have nothing done to containers for a while",
    "unsuspend": "have them kept as their specs say again",
    "wait": "wait until containers are as told, or the time is over",
    "doctor": "tell what this host can enforce, what not, and what mends it",
    "destroy": "stop containers and remove all that is theirs",
    "install": "write systemd units that keep containers as their files say, and start them",
    "uninstall": "stop and remove these units; the containers run on",
    "explain": "say what an error code means and what to do",
    "schema": "print the JSON Schema of spec files",
    "completion": "print the completion of bash, zsh or fish",
    "version": "print the version",
}

# What people type who come from other tools.
SYNONYMS = {
    "check": "validate",
    "lint": "validate",
    "diff": "plan",
    "sync": "apply",
    "daemon": "watch",
    "run": "apply",
    "ps": "status",
    "ls": "status",
    "list": "status",
    "get": "status",
    "inspect": "show",
    "describe": "show",
    "log": "logs",
    "kill": "signal",
    "serve": "watch",
    "shell": "exec",
    "sh": "exec",
    "freeze": "pause",
    "unpause": "resume",
    "thaw": "resume",
    "journal": "events",
    "history": "events",
    "info": "doctor",
    "daemon-reload": "apply",
    "update": "apply",
    "deploy": "apply",
    "replan": "apply",
}

_BY_FILE = "it is made again as long as its file is in a source, so remove that"

# What is done otherwise here than in other tools, and how.
HINTS = {
    "stop": "put `state: stopped` into its file and run `reconciler apply`;"
    " or `reconciler pause NAME`, then `reconciler resume NAME`",
    "start": "put its file into a source and run `reconciler apply`;"
    " of one that has ended: `reconciler restart NAME`",
    "up": "run `reconciler apply` once, or `reconciler watch` to keep it so",
    "down": "run `reconciler destroy --all`; to prune by files: `reconciler apply --allow-empty`",
    "rm": f"run `reconciler destroy NAME`; {_BY_FILE}",
    "remove": f"run `reconciler destroy NAME`; {_BY_FILE}",
    "delete": f"run `reconciler destroy NAME`; {_BY_FILE}",
    "create": "write NAME.yaml into a source and run `reconciler apply`",
    "edit": "edit its file, which `reconciler show NAME` names, and run `reconciler apply`;"
    " a daemon (`reconciler watch`) takes it at once",
    "config": "run `reconciler show --merged NAME`, or `reconciler validate`; fields are in"
    " `reconciler schema`",
    "pull": "no images are fetched: unpack one into a directory and write `rootfs: {path: DIR}`",
    "build": "no images are built: unpack one into a directory and write `rootfs: {path: DIR}`",
    "attach": "run `reconciler logs -f NAME`, or `reconciler exec -it NAME -- sh`",
    "scale": "one file is one container: write a file for each",
    "reload": "run `reconciler apply` for changed files, which a daemon takes by itself;"
    " for a program: `reconciler signal NAME HUP`",
    "enable": "put its file into a source; after a suspension: `reconciler unsuspend NAME`",
    "disable": "put `state: stopped` into its file and run `reconciler apply`;"
    " to have it left alone as it is: `reconciler suspend NAME`",
}
