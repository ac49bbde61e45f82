"""The paths that specs may name for drift and enforcement are those of planning's table."""

from __future__ import annotations

import pytest

from reconciler.model.field_paths import ENFORCED, OBSERVED, is_known
from reconciler.planning.fields import FIELDS, ObservedBy
from tests.unit.planning.world_model import ENGINE_ONLY

PATHS = {row.path for row in FIELDS}


def test_what_can_drift_is_what_the_kernel_shows_of_the_fields() -> None:
    shown = {row.path for row in FIELDS if row.observed_by is not ObservedBy.RECORD}
    assert set(OBSERVED) == shown - ENGINE_ONLY
    assert len(OBSERVED) == len(set(OBSERVED))


def test_what_can_be_preferred_are_fields_and_every_limit_is_among_them() -> None:
    assert set(ENFORCED) <= PATHS
    limits = {path for path in PATHS if path.startswith("resources.")}
    assert limits - ENGINE_ONLY <= set(ENFORCED)


@pytest.mark.parametrize("path", ["resources", "rlimits", "rlimits.nofile", "resources.io.max"])
def test_a_path_a_part_of_one_and_what_holds_some_are_known(path: str) -> None:
    assert is_known(path, OBSERVED)


@pytest.mark.parametrize("path", ["", "resource", "resources.memory.maximum", "rlimit", "command"])
def test_other_paths_are_not_known(path: str) -> None:
    assert not is_known(path, OBSERVED)
