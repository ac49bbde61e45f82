"""One file per verb, each with the same three things.

    EXAMPLES                  what `--help` shows at its end
    add_arguments(parser)     its own arguments; those of all verbs are there already
    run(args) -> int          does it and returns the exit code

Imported one at a time by `reconciler.cli.main`. A verb may not import another one.
"""

VERBS = {
    "validate": "check spec files and show every problem",
    "plan": "show what apply would do, and change nothing",
    "apply": "make the containers equal to the sources, once",
    "watch": "make them equal and keep them so, until SIGTERM",
    "status": "show the containers and how they are",
    "show": "show all that is known of one container",
    "logs": "print what a container has written",
    "stats": "show what running containers use",
    "destroy": "stop containers and remove all that is theirs",
    "explain": "say what an error code means and what to do",
    "schema": "print the JSON Schema of spec files",
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
    "top": "stats",
    "rm": "destroy",
    "remove": "destroy",
    "delete": "destroy",
    "down": "destroy",
    "kill": "destroy",
}
