"""What a user reads for each kind of mistake: the exact place and text."""

from __future__ import annotations

import pytest

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
    "a list for a document": (
        "- a",
        (
            "1:1: expected a mapping, got a list;"
            " a file is one container: write 'command: [PROGRAM, ARGUMENT, ...]' [SpecSchema]"
        ),
    ),
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
