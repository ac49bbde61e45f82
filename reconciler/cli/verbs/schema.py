"""`reconciler schema`: the contract of spec files, for editors and other programs."""

from __future__ import annotations

import argparse

from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  reconciler schema > container.schema.json
  reconciler schema --output yaml
  # in a spec file, for editors with a YAML language server:
  # yaml-language-server: $schema=container.schema.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the schema: as it is shipped, which is JSON, or as YAML."""
    from reconciler.loader.schema import read_schema_text

    if args.output == "yaml":
        import json

        emit_data(json.loads(read_schema_text()), "yaml")
    else:
        emit(read_schema_text().rstrip("\n"))
    return 0
