"""What is known of one file: the value that parsing makes, the cache keeps and merging reads."""

from __future__ import annotations

from reconciler.errors.codes import ErrorCode
from reconciler.model.frozen import field, frozen
from reconciler.model.spec import Origin, Spec
from reconciler.model.world import Problem


@frozen
class Parsed:
    """What one file gives: specs of its valid documents, and what is known of the others.

    `troubled` are the names of invalid documents, as far as they could be read; `has_unnamed`
    tells that something in the file is in trouble whose name is not known. `env_files` are all
    whose content is a part of a spec (env files, seccomp profiles), those that are missing
    included; `references` are the paths whose changes ask for more than reading the spec again.
    `places` are those of the dependencies: by the spec's name, then the dependency's.
    """

    specs: tuple[Spec, ...] = ()
    problems: tuple[Problem, ...] = ()
    troubled: tuple[str, ...] = ()
    has_unnamed: bool = False
    env_files: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    places: dict[str, dict[str, Origin]] = field(default_factory=dict)

    def is_good(self) -> bool:
        """Tell whether nothing in the file is in trouble."""
        return not self.problems and not self.has_unnamed


def make_problem(
    code: ErrorCode,
    message: str,
    file: str,
    line: int | None = None,
    column: int | None = None,
) -> Problem:
    """Return a problem of a file, or of a place in it."""
    return Problem(
        code=int(code), name=code.name, message=message, file=file, line=line, column=column
    )
