"""Text of others in messages of ours: on one line, and without what a terminal would act on."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return it with what cannot be printed (also bytes that are no UTF-8) escaped."""
    return text if text.isprintable() else ascii(text)[1:-1]
