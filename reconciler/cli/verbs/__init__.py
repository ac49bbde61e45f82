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
    "up": "apply",
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
    "rm": "destroy",
    "remove": "destroy",
    "delete": "destroy",
    "down": "destroy",
    "kill": "signal",
}
