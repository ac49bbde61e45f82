"""Containers by the names that a user types.

Called by the verbs that take names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import ErrorCode, ReconcilerError

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.model.spec import Spec


def load_container(engine: Engine, name: str) -> Container:
    """Return the container of this name.

    Raises: NameNotFound with the nearest name; InvalidIdFormat, RecordCorrupt.
    """
    try:
        return engine.load(name)
    except ReconcilerError as error:
        if error.code is ErrorCode.ContainerNotExists:
            raise name_not_found(engine, name) from None
        raise


def noted_specs(engine: Engine) -> list[Spec]:
    """Return the last specs of all containers that the reconciler made and that can be read."""
    from reconciler.control.notes import decode_spec

    records = (container.record for container in engine.list())
    specs = (decode_spec(one.id, one.annotations, one.config) for one in records)
    return [spec for spec in specs if spec is not None]


def name_not_found(engine: Engine, name: str) -> ReconcilerError:
    """Return the error for a name that no container has."""
    from difflib import get_close_matches

    near = get_close_matches(name, engine.store.ids(), n=1)
    hint = f"did you mean {near[0]}?" if near else "`reconciler status` lists all"
    return ReconcilerError(
        ErrorCode.NameNotFound, f"cannot find container {name}: {hint}", container=name
    )
