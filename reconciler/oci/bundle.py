"""A bundle: a directory with a config.json. Reads it; what it says is `translate`'s to know.

Called by the verbs. Source: runtime-spec bundle.md, config.md (Specification version).
"""

from __future__ import annotations

import os
import stat

from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Any, NamedTuple, json
from reconciler.linux.proc import read_file
from reconciler.oci.fields import Fields

CONFIG_NAME = "config.json"
LEAST_VERSION, MOST_VERSION = "1.0.0", "1.3.0"


class Bundle(NamedTuple):
    """`directory` is absolute; `version` is config.json's ociVersion."""

    directory: str
    version: str
    fields: Fields
    annotations: dict[str, str]


def load_bundle(directory: str, config_path: str | None = None) -> Bundle:
    """Read a bundle's config.json, or the file `config_path` in its place.

    Raises: ConfigInvalid, NotSupported, PermissionDenied, SystemError.
    """
    absolute = os.path.abspath(directory)
    path = config_path or os.path.join(absolute, CONFIG_NAME)
    fields = Fields(read_json_object(path))
    version = fields.required_text("ociVersion")
    _check_version(fields, version)
    annotations = fields.texts_by_name("annotations")
    if "" in annotations:
        raise fields.invalid("annotations", "must not have an empty name")
    return Bundle(absolute, version, fields, annotations)


def is_read_once(directory: str, config_path: str | None) -> bool:
    """Tell whether what configures the bundle can be read once only, as a pipe."""
    try:
        mode = os.stat(config_path or os.path.join(directory, CONFIG_NAME)).st_mode
    except OSError:
        return False  # which is told when it is read
    return not stat.S_ISREG(mode)


def read_json_object(path: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises: ConfigInvalid, PermissionDenied, SystemError."""
    try:
        data = json.loads(read_file(path))
    except FileNotFoundError as error:
        message = f"cannot read {path}: no such file or directory"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, path=path) from error
    except OSError as error:
        raise from_os_error(error, f"cannot read {path}") from error
    except (ValueError, RecursionError) as error:
        cause = "it is nested too deeply" if isinstance(error, RecursionError) else error
        message = f"cannot read {path}: it is not JSON: {cause}"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, path=path) from error
    if not isinstance(data, dict):
        message = f"cannot read {path}: it must hold an object"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, path=path)
    return data


def _check_version(fields: Fields, version: str) -> None:
    """Take every 1.x (semver.org): what a later one adds is refused where it is used."""
    numbers = version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(map(_is_version_number, numbers)):
        raise fields.invalid("ociVersion", f"must be a version such as 1.2.0, and is '{version}'")
    if int(numbers[0]) != 1:
        raise fields.unsupported(
            "ociVersion", f"version {version} is not one of {LEAST_VERSION} to {MOST_VERSION}"
        )


def _is_version_number(text: str) -> bool:
    return text.isdecimal() and text == str(int(text))
