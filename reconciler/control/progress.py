"""Who is told how far a pass has come. This one tells nobody; the command line has one that shows.

Made by whoever starts passes, called by them and by execute, from any thread.
"""

from __future__ import annotations

from typing import Self

from reconciler.model.action import Action


class Progress:
    """What is told while actions are carried out. It may raise nothing, and must be quick.

    Whoever made it enters it before the work and leaves it afterwards.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell that the work is over."""

    def expect(self, count: int) -> None:
        """Tell that so many more actions are to be carried out."""

    def begin(self, action: Action) -> None:
        """Tell that an action is being carried out."""

    def end(self, action: Action) -> None:
        """Tell that an action has been carried out, or is not to be."""

    def say(self, text: str) -> None:
        """Tell that nothing is carried out now, and why."""
