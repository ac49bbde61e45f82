"""What this project uses of `json`, without the import of `re`: the same code in C does the work.

What is wrong, or asked for beside the default form, is left to the original.
"""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from json import dumps as dumps
    from json import loads as loads
else:
    _SPACE = " \t\n\r"

    class _Context:
        """What the scanner asks for: the defaults of `json.JSONDecoder`."""

        strict = True
        object_hook = object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = {
            "-Infinity": float("-inf"),
            "Infinity": float("inf"),
            "NaN": float("nan"),
        }.__getitem__

    def _refuse(value):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    def loads(text):
        """Return what a JSON text, or UTF-8 bytes, says. Raises: ValueError."""
        try:
            decoded = text if isinstance(text, str) else text.decode()
            begin = len(decoded) - len(decoded.lstrip(_SPACE))
            value, end = _scan(decoded, begin)
            if not decoded[end:].strip(_SPACE):
                return value
        except (StopIteration, ValueError, SystemError):
            pass  # told below, with its place; SystemError: json.decoder, for its error, is missing

        import json

        return json.loads(text)

    def dumps(value, **options):
        """Return a value as JSON text."""
        if not options and not isinstance(value, (str, float)):
            return "".join(_encode(value, 0))

        import json

        return json.dumps(value, **options)

    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        _scan = make_scanner(_Context)
        _encode = make_encoder(
            None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True
        )
    except (ImportError, AttributeError, TypeError):  # an interpreter whose insides are others
        from json import dumps, loads  # noqa: F401
