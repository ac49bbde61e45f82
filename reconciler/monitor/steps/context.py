"""What one set-up step leaves for later ones."""

from __future__ import annotations


class Context:
    """`trees`: fds of detached mounts, by the key of the step that opened them."""

    def __init__(self) -> None:
        self.trees: dict[str, int] = {}
