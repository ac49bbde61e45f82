"""What goes to standard output: text, tables for people, JSON and YAML for programs.

Called by the verbs, for all that they print. Colour and width follow the terminal; no verb
looks at it itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

GREEN, YELLOW, RED, DIM = "32", "33", "31", "2"

_AGE_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class OutputClosed(Exception):
    """Who reads standard output has closed it: nothing is left to do, and nobody to tell."""


def emit(text: str) -> None:
    """Write a line (or several, joined by newlines) to standard output.

    Control characters but for colours are shown, not sent.

    Raises: OutputClosed when nobody reads any more; NoSpace, SystemError.
    """
    with _translated():
        sys.stdout.write(_printable(text, has_colours=True) + "\n")


def emit_bytes(data: bytes, *, flush: bool = False) -> None:
    """Write bytes as they are to standard output. Raises: as `emit`."""
    with _translated():
        sys.stdout.buffer.write(data)
        if flush:
            sys.stdout.buffer.flush()


def flush() -> None:
    """Write out what is buffered. Raises: as `emit`."""
    with _translated():
        sys.stdout.flush()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        from reconciler.errors import from_os_error  # `version` starts faster without it

        raise from_os_error(error, "cannot write to standard output") from error


def emit_data(data: object, form: str) -> None:
    """Write one document to standard output, `form` being json or yaml. Raises: as `emit`."""
    if form == "yaml":
        emit(to_yaml(data))
    else:
        import json

        emit(json.dumps(data, indent=2))


def to_yaml(data: object, *, is_on_one_line: bool = False) -> str:
    """Return data of JSON's types as YAML, without a newline at the end."""
    import yaml

    class Plain(yaml.SafeDumper):
        """No anchors: a text that stands twice is shown twice."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    text: str = yaml.dump(
        data,
        Dumper=Plain,
        sort_keys=False,
        allow_unicode=True,
        width=sys.maxsize if is_on_one_line else 100,
        default_flow_style=is_on_one_line,
    )
    return text.rstrip("\n")


def emit_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], styles: dict[str, str] | None = None
) -> None:
    """Write the lines of `table_lines` to standard output. Raises: as `emit`."""
    for line in table_lines(header, rows, styles):
        emit(line)


def table_lines(
    header: Sequence[str], rows: Iterable[Sequence[str]], styles: dict[str, str] | None = None
) -> list[str]:
    """Return columns as wide as their widest cell, two spaces apart; the last one is cut to fit.

    An empty cell is shown as `-`. A cell of the text of one of `styles` gets that style.
    """
    lines: list[str] = []
    cells = [list(header), *([_one_line(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = _terminal_width()
    for row in cells:
        if room is not None:
            used = sum(widths[:-1]) + 2 * len(widths[:-1])
            row[-1] = _cut(row[-1], max(room - used, 10))
        padded = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)]
        padded[-1] = row[-1]
        shown = [
            styled(text, styles[cell]) if styles and cell in styles else text
            for text, cell in zip(padded, row, strict=True)
        ]
        lines.append("  ".join(shown))
    return lines


def styled(text: str, style: str) -> str:
    """Return the text in a colour if a terminal shows it and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{style}m{text}\x1b[0m" if sys.stdout.isatty() else text


def format_age(seconds: float) -> str:
    """Return the two largest units of a time span: 192 is `3m12s`, 3600 `1h`, 0.5 `0s`."""
    parts: list[str] = []
    left = max(0, int(seconds))
    for unit, size in _AGE_UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number}{unit}" if number else "")
    return "".join(parts[:2]) or "0s"


def camel_case(data: object) -> object:
    """Return JSON data with `usage_bytes` as `usageBytes` in all keys of its own making."""
    if isinstance(data, dict):
        return {_camel(key): camel_case(item) for key, item in data.items()}
    return [camel_case(item) for item in data] if isinstance(data, list) else data


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def plural(number: int, noun: str) -> str:
    """Return `1 container` or `2 containers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _one_line(text: str) -> str:
    return _printable(" ".join(text.split()))


def _printable(text: str, *, has_colours: bool = False) -> str:
    if text.isprintable():
        return text
    from reconciler.model.printable import printable  # `version` starts faster without it

    return printable(text, has_colours=has_colours)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is, None when it is none."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None
