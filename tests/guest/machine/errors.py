"""Why there is no guest, or why it did not do what it was asked."""

from __future__ import annotations


class Unavailable(Exception):
    """This host cannot have a guest; the text says what is missing and how to get it."""


class GuestFailed(Exception):
    """The guest did not start, or ended before its command had."""
