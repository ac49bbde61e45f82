"""What a user reads for a value that a field cannot have: the exact place and text."""

from __future__ import annotations

import pytest

from tests.unit.loader.samples import parse_text, told

# What is written; what is told, without the file: `line:column: field: message [Code]`.
MISTAKES = {
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
        (
            "2:13: apiVersion: 'v1' is not reconciler/v1;"
            " write that, or leave the field out [SpecSchema]"
        ),
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
        (
            "2:10: mounts[0].type: the field 'type' is missing (bind or tmpfs or overlay or proc or"
            " sysfs or devpts or mqueue or cgroup) [SpecSchema]"
        ),
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
        (
            "2:33: scheduler.nice: the policy IDLE has no nice value; it has none of its own"
            " [SpecValue]"
        ),
    ),
    "contradicting options": (
        "command: [a]\nmounts: [{type: tmpfs, target: /a, options: [rw, exec, ro]}]",
        "2:56: mounts[0].options[2]: the options 'ro' and 'rw' contradict each other [SpecValue]",
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
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_value_that_cannot_be_is_told_with_its_place_and_what_can(
    text: str, expected: str
) -> None:
    parsed = parse_text(text)
    assert told(parsed) == [expected]
    assert all(problem.file == "/etc/specs/web.yaml" for problem in parsed.problems)
