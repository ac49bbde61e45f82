"""The five sets of capabilities in a spec."""

from __future__ import annotations

import pytest

from reconciler.model.isolation import Capabilities
from tests.unit.loader.samples import parse_text, spec_of, told

MISTAKES = {
    "{ambient: [KILL], permitted: [KILL]}": (
        "2:37: security.capabilities.ambient[0]: 'KILL' must be in inheritable too"
        " (capabilities(7)) [SpecValue]"
    ),
    "{effective: [KILL]}": (
        "2:39: security.capabilities.effective[0]: 'KILL' must be in permitted too"
        " (capabilities(7)) [SpecValue]"
    ),
    "{bounded: [KILL]}": (
        "2:27: security.capabilities.bounded: unknown field 'bounded'; did you mean 'bounding'?"
        " [SpecSchema]"
    ),
}


def test_a_list_is_for_all_sets_and_a_mapping_for_each() -> None:
    config = spec_of("command: [a]\nsecurity: {capabilities: [KILL, CHOWN]}").config
    assert config.security.capabilities == ("CHOWN", "KILL")
    assert config.isolation.capabilities is None
    sets = "{bounding: [NET_RAW, KILL], permitted: [KILL]}"
    config = spec_of(f"command: [a]\nsecurity: {{capabilities: {sets}}}").config
    assert config.security.capabilities == ("KILL", "NET_RAW")
    assert config.isolation.capabilities == Capabilities(
        bounding=("KILL", "NET_RAW"), permitted=("KILL",)
    )


@pytest.mark.parametrize("sets", MISTAKES)
def test_what_cannot_be_is_told_with_what_to_write(sets: str) -> None:
    assert told(parse_text(f"command: [a]\nsecurity: {{capabilities: {sets}}}")) == [MISTAKES[sets]]
