"""What `exec` runs: the container's own process but for what the options or --process say."""

from __future__ import annotations

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.model.config import Command, Config
from reconciler.model.frozen import replace
from reconciler.model.frozen import replace as replace_frozen
from reconciler.model.isolation import Capabilities, Isolation
from reconciler.oci.bundle import read_json_object
from reconciler.oci.fields import Fields
from reconciler.oci.options import Values
from reconciler.oci.translate import config_of
from reconciler.oci.translate_process import can_grant, translate_process


def make_process(config: Config, options: Values, argv: list[str]) -> Command:
    """Return the command. Raises: ConfigInvalid, Usage."""
    if options["process"]:
        parts = translate_process(Fields(read_json_object(options["process"]), "process"))
        parts = parts._replace(
            isolation=replace_frozen(parts.isolation, seccomp=config.isolation.seccomp)
        )
        process = config_of(parts, parts.isolation, resources=config.resources)
    else:
        if not argv:
            raise ReconcilerError(
                ErrorCode.Usage, "no command is given: name one, or use --process FILE"
            )
        process = replace(config, command=tuple(argv), isolation=_isolation(config, options))
        process = replace(process, **_changes(config, options))
    return Command(
        argv=process.command,
        workdir=process.workdir,
        terminal=process.isolation.terminal,
        process=process,
    )


def _isolation(config: Config, options: Values) -> Isolation:
    own = config.isolation
    return replace_frozen(
        own,
        environment=(*(own.environment or ()), *options["env"]),
        terminal=(0, 0) if options["tty"] else None,
        apparmor_profile=options["apparmor"] or own.apparmor_profile,
        selinux_label=options["process-label"] or own.selinux_label,
        capabilities=_with_capabilities(own.capabilities or Capabilities(), options["cap"]),
    )


def _changes(config: Config, options: Values) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if options["cwd"]:
        changes["workdir"] = options["cwd"]
    if options["user"]:
        changes["user"] = options["user"] if ":" in options["user"] else f"{options['user']}:0"
    if options["additional-gids"]:
        changes["groups"] = (*config.groups, *options["additional-gids"])
    if options["no-new-privs"]:
        changes["security"] = replace(config.security, no_new_privileges=True)
    return changes


def _with_capabilities(own: Capabilities, names: list[str]) -> Capabilities:
    """Return the sets with more: bounding, permitted, effective, and ambient where inheritable.

    Never inheritable (CVE-2022-29162).
    """
    added = [name.removeprefix("CAP_") for name in names if can_grant(name)]
    return Capabilities(
        bounding=tuple(sorted({*own.bounding, *added})),
        effective=tuple(sorted({*own.effective, *added})),
        inheritable=own.inheritable,
        permitted=tuple(sorted({*own.permitted, *added})),
        ambient=own.ambient,
    )
