"""What the error codes of systemd's units mean and what to do. As `engine_texts`."""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode
from reconciler.errors.engine_texts import Row

ROWS: tuple[Row, ...] = (
    (
        ErrorCode.UnitNotOurs,
        (
            "To install or uninstall, a unit file would have to be changed that is not as "
            "`install` wrote it. Nothing was changed."
        ),
        (
            "the file was edited since",
            "it comes from somebody else, who uses the same name",
        ),
        (
            "see what is in it: `systemctl cat UNIT`",
            "keep your changes where no update touches them: `systemctl edit UNIT`",
            "have it overwritten: `reconciler install --force`",
        ),
    ),
    (
        ErrorCode.SystemdFailed,
        (
            "What was asked of systemd it did not do: to take the unit files, to start or stop a "
            "unit, to make a scope for containers. Its words are told."
        ),
        (
            "a unit failed to start; its log says why",
            "the user may not do that, or has no manager of his own",
            "there is no systemctl, or no bus",
        ),
        (
            "see the state and the last lines: `systemctl status UNIT`, `journalctl -u UNIT`",
            "see what is asked of systemd: `reconciler install --dry-run`",
            "see what is missing: `reconciler doctor`",
        ),
    ),
)
