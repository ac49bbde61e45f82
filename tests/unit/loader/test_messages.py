"""What a user reads for each kind of mistake: the exact place and text."""

from __future__ import annotations

import re

import pytest

from reconciler.loader.foreign import INSTEAD
from reconciler.loader.schema import load_schema
from tests.unit.loader.samples import parse_text, told

BOOLS = "security: {noNewPrivileges: %s}\ncommand: [a]"

# What is written; what is told, without the file: `line:column: field: message [Code]`.
MISTAKES = {
    "a misspelt field": (
        "command: [a]\ncomand: [x]",
        "2:1: comand: unknown field 'comand'; did you mean 'command'? [SpecSchema]",
    ),
    "a field in the wrong case": (
        "command: [a]\nsecurity: {no_new_privileges: true}",
        (
            "2:12: security.no_new_privileges: unknown field 'no_new_privileges';"
            " did you mean 'noNewPrivileges'? [SpecSchema]"
        ),
    ),
    "a field in the wrong place": (
        "command: [a]\nmemory: {max: 1Mi}",
        "2:1: memory: unknown field 'memory'; did you mean 'resources.memory'? [SpecSchema]",
    ),
    "an image": (
        "command: [a]\nimage: nginx",
        (
            "2:1: image: unknown field 'image'; no images are fetched: unpack one into a directory"
            " and write 'rootfs: {path: DIR}' [SpecSchema]"
        ),
    ),
    "a field of compose files": (
        "command: [a]\nmem_limit: 1g",
        (
            "2:1: mem_limit: unknown field 'mem_limit';"
            " write 'resources: {memory: {max: 256Mi}}' [SpecSchema]"
        ),
    ),
    "restart as in compose files": (
        "command: [a]\nrestart: always",
        (
            "2:10: restart: expected a mapping, got the text 'always';"
            " write {policy: always} [SpecSchema]"
        ),
    ),
    "a field unlike any other, where few are known": (
        "command: [a]\nlogs: {zzz: 1}",
        "2:8: logs.zzz: unknown field 'zzz' (known here: maxSize, maxFiles) [SpecSchema]",
    ),
    "a field unlike any other": (
        "command: [a]\nzzz: 1",
        "2:1: zzz: unknown field 'zzz' [SpecSchema]",
    ),
    "no command": ("user: root", "1:1: command: the field 'command' is missing [SpecSchema]"),
    "an empty command": (
        "command: []",
        "1:10: command: the list is empty; it needs at least one item [SpecValue]",
    ),
    "an empty program": ("command: ['', a]", "1:11: command[0]: the text is empty [SpecValue]"),
    "a command line": (
        "command: sleep 'a b'",
        (
            "1:10: command: expected a list, got the text \"sleep 'a b'\";"
            ' write ["sleep", "a b"] [SpecSchema]'
        ),
    ),
    "a number in the command": (
        "command: [sleep, 010]",
        '1:18: command[1]: expected text, got the number 010; put it in quotes: "010" [SpecSchema]',
    ),
    "a NUL in the command": (
        'command: [sleep, "a\\0b"]',
        "1:18: command[1]: 'a\\x00b' contains a NUL character [SpecValue]",
    ),
    "a number in the environment": (
        "command: [a]\nenv:\n  PORT: 8080",
        '3:9: env.PORT: expected text, got the number 8080; put it in quotes: "8080" [SpecSchema]',
    ),
    "true in the environment": (
        "command: [a]\nenv: {DEBUG: true}",
        '2:14: env.DEBUG: expected text, got true; put it in quotes: "true" [SpecSchema]',
    ),
    "nothing in the environment": (
        "command: [a]\nenv:\n  X:",
        (
            '3:5: env.X: expected text, got nothing; give it a value, write "" for an empty text,'
            " or remove the key [SpecSchema]"
        ),
    ),
    "a bad name in the environment": (
        'command: [a]\nenv: {"A=B": x}',
        "2:7: env.A=B: 'A=B' is not a name of a variable: empty, or with '=' or NUL [SpecValue]",
    ),
    "the environment as in compose files": (
        "command: [a]\nenv: [A=1, B=2]",
        (
            "2:6: env: expected a mapping, got a list; write 'NAME: value', not '- NAME=value'"
            " [SpecSchema]"
        ),
    ),
    "a key of a label that cannot be printed": (
        'command: [a]\nlabels: {"a\\nb": x}',
        "2:10: labels.'a\\nb': the key 'a\\nb' contains an unprintable character [SpecValue]",
    ),
    "a section without content": (
        "command: [a]\nlogs:",
        (
            "2:6: logs: expected a mapping or text, got nothing; give it a value or remove the key"
            " [SpecSchema]"
        ),
    ),
    "yes for a boolean": (
        BOOLS % "yes",
        (
            "1:29: security.noNewPrivileges: expected true or false, got the text 'yes'; write true"
            " [SpecSchema]"
        ),
    ),
    "a quoted number": (
        'command: [a]\nresources: {pids: {max: "12"}}',
        (
            "2:25: resources.pids.max: expected a whole number, got the text '12'; remove"
            " the quotes"
            " [SpecSchema]"
        ),
    ),
    "a fraction for a whole number": (
        "command: [a]\nresources: {pids: {max: 1.5}}",
        "2:25: resources.pids.max: expected a whole number, got the number 1.5 [SpecSchema]",
    ),
    "a number out of its range": (
        "command: [a]\noomScoreAdj: 1001",
        "2:14: oomScoreAdj: 1001 is too large; the most is 1000 [SpecValue]",
    ),
    "a size in the wrong unit": (
        "command: [a]\nresources: {memory: {max: 256MB}}",
        (
            "2:27: resources.memory.max: '256MB' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096);"
            " write 256M or 256Mi [SpecValue]"
        ),
    ),
    "no amount of CPU": (
        "command: [a]\nresources: {cpu: {max: fast}}",
        (
            "2:24: resources.cpu.max: 'fast' is not an amount of CPU (examples: 500m, 1.5, 2)"
            " [SpecValue]"
        ),
    ),
    "a duration without unit": (
        "command: [a]\nstop: {grace: 10}",
        (
            "2:15: stop.grace: 10 is not a duration (examples: 500ms, 10s, 1m30s, 2h); write 10s"
            " [SpecValue]"
        ),
    ),
    "no such kind": (
        "command: [a]\nkind: job",
        "2:7: kind: 'job' is not one of Container, Job; did you mean 'Job'? [SpecSchema]",
    ),
    "another version": (
        "command: [a]\napiVersion: v1",
        "2:13: apiVersion: 'v1' is not reconciler/v1 [SpecSchema]",
    ),
    "a capability with its prefix": (
        "command: [a]\nsecurity: {capabilities: [CAP_NET_ADMIN]}",
        (
            "2:27: security.capabilities[0]: 'CAP_NET_ADMIN' is not known; did you mean"
            " 'NET_ADMIN'?"
            " [SpecSchema]"
        ),
    ),
    "a capability twice": (
        "command: [a]\nsecurity: {capabilities: [KILL, KILL]}",
        "2:33: security.capabilities[1]: 'KILL' is given twice [SpecValue]",
    ),
    "a signal with its prefix": (
        "command: [a]\nstop: {signal: SIGINT}",
        "2:16: stop.signal: 'SIGINT' is not known; did you mean 'INT'? [SpecSchema]",
    ),
    "a name with a slash": (
        "command: [a]\nname: a/b",
        (
            "2:7: name: 'a/b' contains '/'; a name is 1 to 63 letters, digits, '_', '-' and '.'"
            " [InvalidIdFormat]"
        ),
    ),
    "a name with two dots": (
        "command: [a]\nname: a..b",
        (
            "2:7: name: 'a..b' contains '..'; a name is 1 to 63 letters, digits, '_', '-' and '.'"
            " [InvalidIdFormat]"
        ),
    ),
    "a name with a NUL": (
        'command: [a]\nname: "a\\0b"',
        (
            "2:7: name: 'a\\x00b' contains '\\x00'; a name is 1 to 63 letters, digits, '_', '-' and"
            " '.' [InvalidIdFormat]"
        ),
    ),
    "a name with a leading dash": (
        "command: [a]\nname: -web",
        (
            "2:7: name: '-web' begins with '-'; a name begins with a letter or a digit"
            " [InvalidIdFormat]"
        ),
    ),
    "a name of 1,025 characters": (
        f"command: [a]\nname: {'x' * 1025}",
        (
            "2:7: name: 'xxxxxxxxxxxxxxxxxxxx...' has 1025 characters; a name is 1 to 63 letters,"
            " digits, '_', '-' and '.' [InvalidIdFormat]"
        ),
    ),
    "a host name with an underscore": (
        "command: [a]\nhostname: a_b",
        (
            "2:11: hostname: 'a_b' is not a host name (letters, digits and '-', in parts of at most"
            " 63 joined by '.') [SpecValue]"
        ),
    ),
    "a host name that is too long": (
        f"command: [a]\nhostname: {'a.' * 32}b",
        "2:11: hostname: 'a.a.a.a.a.a.a.a.a.a....' has 65 characters; the most is 64 [SpecValue]",
    ),
    "a user id out of range": (
        "command: [a]\nuser: 4294967295",
        "2:7: user: 4294967295 is more than the highest id, 4294967294 [SpecValue]",
    ),
    "no user": (
        "command: [a]\nuser: a b",
        "2:7: user: 'a b' is not UID, UID:GID, USER or USER:GROUP [SpecValue]",
    ),
    "a relative working directory": (
        "command: [a]\nworkdir: srv",
        "2:10: workdir: 'srv' is not an absolute path (it must begin with '/') [SpecValue]",
    ),
    "a mount without a type": (
        "command: [a]\nmounts: [{target: /a}]",
        "2:10: mounts[0].type: the field 'type' is missing (bind or tmpfs) [SpecSchema]",
    ),
    "a bind mount without a source": (
        "command: [a]\nmounts:\n  - {type: bind, target: /a}",
        "3:5: mounts[0].source: the field 'source' is missing: a bind mount needs it [SpecValue]",
    ),
    "a bind mount with a size": (
        "command: [a]\nmounts: [{type: bind, source: /a, target: /a, size: 1}]",
        "2:53: mounts[0].size: a bind mount has no 'size'; it is for tmpfs [SpecValue]",
    ),
    "a tmpfs with a source": (
        "command: [a]\nmounts: [{type: tmpfs, source: /a, target: /a}]",
        "2:32: mounts[0].source: a tmpfs has no source; remove it, or use type: bind [SpecValue]",
    ),
    "a tmpfs with bind": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a, options: [rbind]}]",
        "2:46: mounts[0].options[0]: the option 'rbind' is not for a tmpfs [SpecValue]",
    ),
    "a namespace that is none": (
        "command: [a]\nnamespaces: {pid: shared}",
        (
            "2:19: namespaces.pid: 'shared' is not private, host or the path of a namespace"
            " [SpecValue]"
        ),
    ),
    "a parameter that is none": (
        "command: [a]\nsysctl: {somaxconn: 1}",
        (
            "2:10: sysctl.somaxconn: 'somaxconn' is no kernel parameter (example:"
            " net.core.somaxconn) [SpecValue]"
        ),
    ),
    "a mask that is none": (
        'command: [a]\numask: "0999"',
        "2:8: umask: '0999' is not an octal mask (examples: '0022', '0077') [SpecValue]",
    ),
    "a host name without names of its own": (
        "command: [a]\nhostname: b\nnamespaces: {uts: host}",
        (
            "2:11: hostname: it needs a uts namespace of the container's own; see namespaces.uts"
            " [SpecValue]"
        ),
    ),
    "two networks": (
        "command: [a]\nnetwork: host\nnamespaces: {network: /run/netns/b}",
        (
            "3:23: namespaces.network: 'network: host' is another network; give one of the two"
            " [SpecValue]"
        ),
    ),
    "a nice value for a policy without": (
        "command: [a]\nscheduler: {policy: IDLE, nice: 1}",
        "2:33: scheduler.nice: the policy IDLE has no nice value [SpecValue]",
    ),
    "contradicting options": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a, options: [rw, exec, ro]}]",
        "2:56: mounts[0].options[2]: the options 'ro' and 'rw' contradict each other [SpecValue]",
    ),
    "an unknown option": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a, options: [nosiud]}]",
        (
            "2:46: mounts[0].options[0]: 'nosiud' is not one of ro, rw, nosuid, suid, nodev, dev,"
            " noexec, exec, noatime, relatime, bind, rbind; did you mean 'nosuid'? [SpecSchema]"
        ),
    ),
    "a target with two dots": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a/../b}]",
        "2:32: mounts[0].target: '/a/../b' contains '..' [SpecValue]",
    ),
    "the root as a target": (
        "command: [a]\nmounts: [{type: tmpfs, target: /./}]",
        (
            "2:32: mounts[0].target: nothing can be mounted over the root of the container; see"
            " 'rootfs' [SpecValue]"
        ),
    ),
    "an unquoted mode": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a, mode: 0755}]",
        (
            '2:42: mounts[0].mode: expected text, got the number 0755; put it in quotes: "0755"'
            " [SpecSchema]"
        ),
    ),
    "an overlay over nothing": (
        "command: [a]\nrootfs: {overlay: true}",
        "2:19: rootfs.overlay: an overlay needs rootfs.path, the directory below it [SpecValue]",
    ),
    "a throttling limit above the hard one": (
        "command: [a]\nresources: {memory: {max: 1Mi, high: 2Mi}}",
        "2:38: resources.memory.high: 2Mi is more than resources.memory.max (1Mi) [SpecValue]",
    ),
    "no memory": (
        "command: [a]\nresources: {memory: {max: 0}}",
        "2:27: resources.memory.max: must be more than 0; leave it out for no limit [SpecValue]",
    ),
    "a range that runs backwards": (
        "command: [a]\nresources: {cpu: {cpus: 3-1}}",
        "2:25: resources.cpu.cpus: the range 3-1 runs backwards [SpecValue]",
    ),
    "a throttle without a limit": (
        "command: [a]\nresources: {io: {max: [{device: 8:0}]}}",
        (
            "2:24: resources.io.max[0]: needs at least one of readBytes, writeBytes, readOps,"
            " writeOps [SpecValue]"
        ),
    ),
    "no block device": (
        "command: [a]\nresources: {io: {max: [{device: sda, readOps: 1}]}}",
        (
            "2:33: resources.io.max[0].device: 'sda' is not a block device (examples:"
            " /dev/sda, 8:0)"
            " [SpecValue]"
        ),
    ),
    "a soft limit above the hard one": (
        "command: [a]\nrlimits: {nofile: {soft: unlimited, hard: 5}}",
        "2:26: rlimits.nofile.soft: unlimited is more than the hard limit (5) [SpecValue]",
    ),
    "half a resource limit": (
        "command: [a]\nrlimits: {nofile: {soft: 5}}",
        "2:19: rlimits.nofile.hard: the field 'hard' is missing [SpecSchema]",
    ),
    "a resource limit in words": (
        "command: [a]\nrlimits: {core: none}",
        "2:17: rlimits.core: 'none' is neither a number nor 'unlimited' [SpecValue]",
    ),
    "a job that always restarts": (
        "command: [a]\nkind: Job\nrestart: {policy: always}",
        (
            "3:19: restart.policy: a Job ends, so 'always' is not for it; use on-failure or never"
            " [SpecValue]"
        ),
    ),
    "a first wait above the longest": (
        "command: [a]\nrestart: {backoff: {initial: 1h}}",
        (
            "2:30: restart.backoff.initial: the first wait (1h) is longer than the longest (30s)"
            " [SpecValue]"
        ),
    ),
    "log files of no size": (
        "command: [a]\nlogs: {maxSize: 1k}",
        "2:17: logs.maxSize: 1k is too small; the least is 4Ki [SpecValue]",
    ),
    "a second document without a name": (
        "command: [a]\n---\ncommand: [b]",
        (
            "3:1: name: the field 'name' is missing: each document but a file's first needs it"
            " [SpecSchema]"
        ),
    ),
    "a list for a document": ("- a", "1:1: expected a mapping, got a list [SpecSchema]"),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_place_its_field_and_the_remedy(
    text: str, expected: str
) -> None:
    parsed = parse_text(text)
    assert told(parsed) == [expected]
    assert all(problem.file == "/etc/specs/web.yaml" for problem in parsed.problems)


def test_all_mistakes_of_all_documents_are_told_at_once() -> None:
    text = "command: 5\nkind: Jobb\nuser: a b\nrootfs: {overlay: true}\n---\nnam: x\ncommand: []"
    assert [line.split(": ")[1] for line in told(parse_text(text))] == [
        "command", "kind", "user", "rootfs.overlay", "nam", "name", "command",
    ]  # fmt: skip


def test_one_refused_mount_does_not_hide_what_is_wrong_with_the_next() -> None:
    text = "command: [a]\nmounts: [{type: tmpfs}, {type: bind, target: /b}]"
    assert [line.split(": ")[1] for line in told(parse_text(text))] == [
        "mounts[0].target",
        "mounts[1].source",
    ]


def test_a_file_name_that_is_no_name_asks_for_another_or_for_the_field() -> None:
    parsed = parse_text("command: [a]", "/etc/specs/my web.yaml")
    assert told(parsed) == [
        (
            "1:1: name: the file's name is no name for a container: 'my web' contains ' ';"
            " a name is"
            " 1 to 63 letters, digits, '_', '-' and '.'; rename it or give 'name' [InvalidIdFormat]"
        )
    ]
    assert parse_text("command: [a]\nname: web", "/etc/specs/my web.yaml").problems == ()


def test_thousands_of_mistakes_are_cut_to_a_hundred() -> None:
    text = "command: [a]\n" + "".join(f"field{number}: 1\n" for number in range(5000))
    assert len(parse_text(text).problems) == 100


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_is_to_be_written_instead_of_another_tools_field_names_fields_that_exist(
    name: str,
) -> None:
    """The mapping in quotes is valid, or its first word is a field of the schema."""
    assert name not in {field.lower() for field in load_schema()["properties"]}
    for quoted in re.findall(r"'([a-zA-Z]+)[^']*'", INSTEAD[name]):
        assert quoted in load_schema()["properties"]
