"""A real one-shot pass with graceful stops of an hour each: they wait side by side.

That all have got their signal while none has ended is shown by their logs; the test ends them.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from tests.integration.daemon import SLEEP
from tests.integration.slow_stops import SLOW, await_line, init_of

pytestmark = pytest.mark.requires_root


def test_the_stops_of_one_apply_wait_side_by_side(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "conf"
    source.mkdir()
    names = ("anew", "gone", "held", "kept")
    for name in names:
        (source / f"{name}.yaml").write_text(SLOW)
    reconciler = Reconciler(engine, [str(source)])
    reconciler.converge()
    for name in names:
        await_line(engine, name, "up")
    (source / "gone.yaml").unlink()
    (source / "held.yaml").write_text(SLOW + "state: stopped\n")
    (source / "anew.yaml").write_text(SLOW + "env: {A: b}\n")
    (source / "new.yaml").write_text(SLEEP)
    reports: list[PassReport] = []
    stopping = threading.Thread(target=lambda: reports.append(reconciler.converge()))
    stopping.start()
    try:
        for name in ("anew", "gone", "held"):
            await_line(engine, name, "draining")
    finally:
        for name in ("anew", "gone", "held"):
            os.kill(init_of(engine, name).pid, signal.SIGKILL)
        stopping.join()
    done = {f"{one.action.verb} {one.action.name}" for one in reports[0].outcomes}
    assert done == {"destroy gone", "stop held", "restart anew", "create new"}
    assert [one.error for one in reports[0].outcomes] == [None] * 4
