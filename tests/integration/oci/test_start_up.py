"""How `run` begins: by whom the configuration is read, and what is loaded."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci, make_spec

pytestmark = pytest.mark.requires_root

WriteSpec = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("words", [[], ["--config", "config.json"]])
def test_a_configuration_that_is_read_once_is_read_by_the_sealed_copy(
    words: list[str], oci: Oci, tmp_path: Path
) -> None:
    spec = make_spec("/bin/echo", "read")
    del spec["linux"]["namespaces"][0]  # pid: which the copy is for
    path = tmp_path / "config.json"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(spec),))
    writer.start()
    assert oci.ok("run", *words, oci.id()) == "read\n"
    writer.join()


def test_what_is_slow_to_load_is_not_loaded(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("/bin/true"))
    oci.program[1:1] = ["-X", "importtime"]
    loaded = {
        row.rpartition("|")[2].strip() for row in oci.run("run", oci.id()).stderr.splitlines()
    }
    assert "reconciler.oci.main" in loaded
    slow = {
        "threading",
        "ctypes",
        "json",
        "socket",
        "typing",
        "dataclasses",
        "subprocess",
        "shutil",
    }
    assert not loaded & slow
