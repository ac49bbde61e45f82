"""Typed access to a JSON object: what is there has the right type, or the error names its place.

Called by `translate` and its siblings. Unknown fields are not looked at (runtime-spec config.md,
Extensibility: they are ignored).
"""

from __future__ import annotations

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.model.text import printable

_MAX_SHOWN = 500  # characters of a message: a value may have a mebibyte
_NAMES = {str: "a text", int: "a number", bool: "true or false", list: "a list", dict: "an object"}


class Fields:
    """One JSON object and the path by which it is reached, such as `process.user`."""

    def __init__(self, data: dict[str, Any], path: str = "") -> None:
        self.data = data
        self.path = path

    def __contains__(self, name: str) -> bool:
        return self.data.get(name) is not None

    def where(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text. Raises: ConfigInvalid."""
        found: str | None = self._get(name, str)
        return default if found is None else found

    def required_text(self, name: str) -> str:
        """Return a text that must be there and not empty. Raises: ConfigInvalid."""
        found: str | None = self._get(name, str)
        if not found:
            raise self.invalid(name, "is required")
        return found

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number. Raises: ConfigInvalid."""
        found: int | None = self._get(name, int)
        return default if found is None else found

    def required_number(self, name: str) -> int:
        """Return a whole number that must be there. Raises: ConfigInvalid."""
        found: int | None = self._get(name, int)
        if found is None:
            raise self.invalid(name, "is required")
        return found

    def natural(self, name: str) -> int | None:
        """Return a whole number that is not negative. Raises: ConfigInvalid."""
        found = self.number(name)
        if found is not None and found < 0:
            raise self.invalid(name, f"must not be negative, and is {found}")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false. Raises: ConfigInvalid."""
        found: bool | None = self._get(name, bool)
        return default if found is None else found

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, none when it is missing. Raises: ConfigInvalid."""
        return tuple(self._items(name, str))

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers. Raises: ConfigInvalid."""
        return tuple(self._items(name, int))

    def child(self, name: str) -> Fields:
        """Return an object, an empty one when it is missing. Raises: ConfigInvalid."""
        return Fields(self._get(name, dict) or {}, self.where(name))

    def children(self, name: str) -> list[Fields]:
        """Return a list of objects. Raises: ConfigInvalid."""
        where = self.where(name)
        items = self._items(name, dict)
        return [Fields(item, f"{where}[{index}]") for index, item in enumerate(items)]

    def texts_by_name(self, name: str) -> dict[str, str]:
        """Return an object of texts. Raises: ConfigInvalid."""
        child = self.child(name)
        return {key: child.text(key) or "" for key in child.data}

    def absolute(self, name: str) -> str:
        """Return a path that must be there and absolute. Raises: ConfigInvalid."""
        path = self.required_text(name)
        if not path.startswith("/"):
            raise self.invalid(name, f"must be an absolute path, and is '{path}'")
        return path

    def invalid(self, name: str, problem: str) -> ReconcilerError:
        """Return the error for a field that is wrong."""
        where = printable(self.where(name))
        return ReconcilerError(
            ErrorCode.ConfigInvalid, f"{where} {printable(problem[:_MAX_SHOWN])}", field=where
        )

    def unsupported(self, name: str, problem: str) -> ReconcilerError:
        """Return the error for a field that this engine, or this host, cannot do."""
        where = printable(self.where(name))
        return ReconcilerError(
            ErrorCode.NotSupported, f"{where}: {printable(problem[:_MAX_SHOWN])}", field=where
        )

    def _get(self, name: str, kind: type) -> Any:
        value = self.data.get(name)
        if value is None:
            return None
        if not _is_a(value, kind):
            raise self.invalid(name, f"must be {_NAMES[kind]}, and is {_shown(value)}")
        return value

    def _items(self, name: str, kind: type) -> list[Any]:
        items: list[Any] = self._get(name, list) or []
        for index, item in enumerate(items):
            if not _is_a(item, kind):
                problem = f"must be {_NAMES[kind]}, and is {_shown(item)}"
                raise self.invalid(f"{name}[{index}]", problem)
        return items


def _is_a(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _shown(value: Any) -> str:
    return f"{value!r:.60}"
