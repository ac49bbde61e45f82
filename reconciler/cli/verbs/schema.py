"""`reconciler schema`: the contract of spec files, for editors and other programs."""

from __future__ import annotations

import argparse

from reconciler.cli.output import emit

EXAMPLES = """\
  reconciler schema > container.schema.json
  # in a spec file, for editors with a YAML language server:
  # yaml-language-server: $schema=container.schema.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the schema as it is shipped; it is JSON with either `--output`."""
    from reconciler.loader.schema import read_schema_text

    emit(read_schema_text().rstrip("\n"))
    return 0
