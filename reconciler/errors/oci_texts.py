"""What the error codes of the OCI command line mean and what to do. As `engine_texts`."""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode
from reconciler.errors.engine_texts import Row

ROWS: tuple[Row, ...] = (
    (
        ErrorCode.HookFailed,
        (
            "A hook of config.json failed: a program of the host's that is run at a point of a "
            "container's life. The container was ended, and its poststop hooks have run."
        ),
        (
            "the hook ended with an exit status other than 0, or by a signal; its words are told",
            "its `timeout` was over, or its path does not exist",
            "it expects variables that its own `env` does not give it",
        ),
        (
            "run it by hand with a state: `reconciler-oci state CONTAINER | HOOK`",
            "correct `hooks` in the bundle's config.json, or take the hook out",
        ),
    ),
)
