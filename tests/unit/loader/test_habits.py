"""Habits of other tools: each mistake is told with what to write here, and that is valid."""

from __future__ import annotations

import re

import pytest

from reconciler.loader.foreign import INSIDE, INSTEAD, instead_of
from reconciler.loader.schema import inline_references, load_schema
from tests.unit.loader.samples import parse_text, told

# The line as it is written, the end of what is told, the line that this leads to.
HABITS = {
    "dependsOn: [db]": ("got a list; write {db: started}", "dependsOn: {db: started}"),
    "dependsOn: db": ("got the text 'db'; write {db: started}", "dependsOn: {db: started}"),
    "dependsOn: {db: service_healthy}": (
        "is not one of started, ready, completed; did you mean 'ready'?",
        "dependsOn: {db: ready}",
    ),
    "stop: 10s": ("got the text '10s'; write {grace: 10s}", "stop: {grace: 10s}"),
    "stop: 10": ("got the number 10; write {grace: 10s}", "stop: {grace: 10s}"),
    "stop: SIGINT": ("got the text 'SIGINT'; write {signal: INT}", "stop: {signal: INT}"),
    "stop: {timeout: 10s}": ("unknown field 'timeout'; write 'grace: 10s'", "stop: {grace: 10s}"),
    "restart: unless-stopped": ("; write {policy: always}", "restart: {policy: always}"),
    "restart: no": ("got the text 'no'; write {policy: never}", "restart: {policy: never}"),
    "restart: on-failure": ("; write {policy: on-failure}", "restart: {policy: on-failure}"),
    "restart: {backoff: 5s}": ("; write {initial: 5s}", "restart: {backoff: {initial: 5s}}"),
    "restart: {maxRetries: 3}": ("; write 'maxAttempts: 5'", "restart: {maxAttempts: 5}"),
    "resources: {memory: 256MB}": ("; write {max: 256M}", "resources: {memory: {max: 256M}}"),
    "resources: {memory: {max: 256MB}}": (
        "; write 256M or 256Mi",
        "resources: {memory: {max: 256M}}",
    ),
    "resources: {memory: {max: 256}}": (
        "256 is 256 bytes, less than any process needs; write 256Mi",
        "resources: {memory: {max: 256Mi}}",
    ),
    "resources: {cpu: 50%}": ("; write {max: 500m}", "resources: {cpu: {max: 500m}}"),
    "resources: {cpu: {max: 50%}}": ("; write 500m", "resources: {cpu: {max: 500m}}"),
    "resources: {pids: 100}": ("; write {max: 100}", "resources: {pids: {max: 100}}"),
    "resources: {limits: {memory: 1Gi}}": (
        "; write 'memory: {max: 256Mi}', 'cpu: {max: 500m}'",
        "resources: {memory: {max: 256Mi}, cpu: {max: 500m}}",
    ),
    "env: [A=1, B]": (
        "; write 'NAME: value' for each; none is taken from the caller's environment",
        'env: {A: "1"}',
    ),
    "env: [{name: A, value: b}]": ("got a list; write {A: b}", "env: {A: b}"),
    "env: A=b": ("got the text 'A=b'; write {A: b}", "env: {A: b}"),
    "env: A=1": ("got the text 'A=1'; write {A: \"1\"}", 'env: {A: "1"}'),
    "mounts: [./a:/b:ro]": (
        "; write {type: bind, source: ./a, target: /b, options: [ro]}",
        "mounts: [{type: bind, source: ./a, target: /b, options: [ro]}]",
    ),
    "mounts: {type: tmpfs, target: /tmp}": (
        "got a mapping; put '- ' before it: it is one item of a list",
        "mounts: [{type: tmpfs, target: /tmp}]",
    ),
    "mounts: [{type: tmpfs, target: /tmp, readOnly: true}]": (
        "unknown field 'readOnly'; write 'options: [ro]'",
        "mounts: [{type: tmpfs, target: /tmp, options: [ro]}]",
    ),
    "rootfs: /srv/root": ("; write {path: /srv/root}", "rootfs: {path: /srv/root}"),
    "security: {capabilities: {add: [NET_ADMIN]}}": (
        "write a list alone, [NET_ADMIN]: it has no others",
        "security: {capabilities: [NET_ADMIN]}",
    ),
    "security: {capabilities: [ALL]}": (
        "'ALL' is not known here; name each capability that it needs",
        "security: {capabilities: [NET_ADMIN]}",
    ),
    "security: {runAsUser: 1000}": ("; write 'user: UID:GID'", 'user: "1000:1000"'),
    'probes: {readiness: "http://localhost:8080/up"}': (
        "; write {http: {port: 8080, path: /up}}",
        "probes: {readiness: {http: {port: 8080, path: /up}}}",
    ),
    "probes: {liveness: {tcp: {port: 80}, periodSeconds: 5}}": (
        "unknown field 'periodSeconds'; write 'interval: 10s'",
        "probes: {liveness: {tcp: {port: 80}, interval: 10s}}",
    ),
    "probes: {liveness: {http: {port: 80, path: up}}}": (
        "'up' must begin with '/'; write '/up'",
        "probes: {liveness: {http: {port: 80, path: /up}}}",
    ),
    "logs: {driver: json-file}": ("'reconciler logs -f NAME' reads them", "logs: {}"),
    "suspend: yes": ("got the text 'yes'; write true", "suspend: true"),
    "network: bridge": (
        "there are no bridges: write 'host', or 'none' for a network of its own",
        "network: host",
    ),
    "state: started": ("; did you mean 'running'?", "state: running"),
    "kind: Pod": ("; did you mean 'Container'?", "kind: Container"),
    "umask: 0022": ('; put it in quotes: "0022"', 'umask: "0022"'),
    "env: {PORT: 8080}": ('; put it in quotes: "8080"', 'env: {PORT: "8080"}'),
}


@pytest.mark.parametrize(("line", "expected"), HABITS.items(), ids=HABITS.keys())
def test_a_habit_is_told_with_what_to_write_and_that_is_valid(
    line: str, expected: tuple[str, str]
) -> None:
    end, instead = expected
    [problem] = told(parse_text(f"command: [a]\n{line}\n"))
    assert problem.startswith("2:")
    assert problem.rpartition(" [")[0].endswith(end)
    assert parse_text(f"command: [a]\n{instead}\n").problems == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[Service]\nExecStart=/bin/sleep 1\n",
            "this is a unit file: write 'command: [PROGRAM, ARGUMENT, ...]'",
        ),
        ("command: [a]\n kind: Job\n", "keys of one mapping begin in one column"),
        ("command: [a]\nresources:\n\tcpu: {}\n", "a tab cannot indent; use spaces"),
        ("command: [a]\nhostname: a: b\n", "put a text that contains ': ' in quotes"),
    ],
)
def test_what_is_no_spec_at_all_is_told_with_the_likely_reason(text: str, expected: str) -> None:
    assert expected in " ".join(told(parse_text(text)))


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_is_to_be_written_instead_of_another_tools_field_names_fields_that_exist(
    name: str,
) -> None:
    """The mapping in quotes is valid, or its first word is a field of the schema."""
    assert name not in {field.lower() for field in load_schema()["properties"]}
    for quoted in re.findall(r"'([a-zA-Z]+)[^']*'", INSTEAD[name]):
        assert quoted in {*load_schema()["properties"], "reconciler"}


@pytest.mark.parametrize("place", sorted(INSIDE))
def test_what_is_to_be_written_inside_of_a_field_names_fields_that_exist(place: str) -> None:
    schema = inline_references(load_schema(), load_schema()["$defs"])
    any_of_them = "createRuntime" if place.startswith("hooks") else "liveness"
    field, path = schema, tuple(place.replace("*", any_of_them).split("."))
    for step in path:
        field = field["properties"][step]
    here = field.get("properties") or field["items"]["properties"]
    for name, text in INSIDE[place].items():
        assert name not in {known.lower() for known in here}
        assert instead_of(name, path) == text
        for quoted in re.findall(r"'([a-zA-Z]+)[^']*'", text):
            assert quoted in {*here, *schema["properties"], "reconciler"}
