"""What is wrong, told once: when it becomes so, and when nothing is any more.

Called by `reconciler.daemon.watch` after each pass.
"""

from __future__ import annotations

from reconciler.control.logs import get_logger, log_failure
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.world import Problem


class Problems:
    """The problems of the last pass, logged as they come; the pass has journaled them."""

    def __init__(self) -> None:
        self._log = get_logger("watch")
        self._known: tuple[Problem, ...] = ()

    def tell(self, problems: tuple[Problem, ...]) -> None:
        """Log what has become wrong since the pass before, and when nothing is wrong any more."""
        for problem in problems:
            if problem not in self._known:
                log_failure(_to_error(problem))
        if self._known and not problems:
            self._log.info("no problems any more")
        self._known = problems


def _to_error(problem: Problem) -> ReconcilerError:
    return ReconcilerError(
        ErrorCode(problem.code),
        problem.describe(),
        container=problem.spec_name,
        operation="watch",
        file=problem.file,
        line=problem.line,
        column=problem.column,
        field=problem.field,
    )
