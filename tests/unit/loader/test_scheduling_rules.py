"""What a user reads of scheduling that cannot be so, and of clocks."""

from __future__ import annotations

import pytest

from tests.unit.loader.samples import parse_text, told

MISTAKES = {
    "scheduler: {policy: FIFO}": (
        "2:12: scheduler.priority: the field 'priority' is missing: the policy FIFO needs it,"
        " 1 (last) to 99 (first) [SpecValue]"
    ),
    "scheduler: {policy: RR, priority: 5, nice: 3}": (
        "2:44: scheduler.nice: the policy RR has no nice value; it has priority [SpecValue]"
    ),
    "scheduler: {policy: IDLE, nice: 3}": (
        "2:33: scheduler.nice: the policy IDLE has no nice value; it has none of its own"
        " [SpecValue]"
    ),
    "scheduler: {policy: SCHED_FIFO, priority: 3}": (
        "2:21: scheduler.policy: 'SCHED_FIFO' is not one of OTHER, BATCH, IDLE, FIFO, RR, DEADLINE;"
        " did you mean 'FIFO'? [SpecSchema]"
    ),
    "scheduler: {policy: DEADLINE, runtime: 30ms, deadline: 20ms}": (
        "2:40: scheduler.runtime: 30ms is more than the deadline (20ms) [SpecValue]"
    ),
    "scheduler: {policy: DEADLINE, runtime: 30ns, deadline: 20ms}": (
        "2:40: scheduler.runtime: 30ns is too short; the least is 1024ns [SpecValue]"
    ),
    "resources: {cpu: {realtimePeriod: 1s}}": (
        "2:35: resources.cpu.realtimePeriod: a period of nothing;"
        " set resources.cpu.realtimeRuntime too [SpecValue]"
    ),
    "memoryPolicy: {mode: BIND}": (
        "2:15: memoryPolicy.nodes: the field 'nodes' is missing: the mode BIND needs it, as 0-1"
        " [SpecValue]"
    ),
    "memoryPolicy: {mode: LOCAL, nodes: 0}": (
        "2:36: memoryPolicy.nodes: the mode LOCAL has no nodes; leave them out [SpecValue]"
    ),
    "timeOffsets: {boottime: 24h}": (
        "2:14: timeOffsets: it needs namespaces: {time: private} [SpecValue]"
    ),
    "timeOffsets: {boottime: 86400}\nnamespaces: {time: private}": (
        "2:25: timeOffsets.boottime: '86400' is not a duration (examples: 500ms, 10s, 1m30s, 2h);"
        " write 86400s [SpecValue]"
    ),
    "cpuAffinity: all": (
        "2:14: cpuAffinity: 'all' is not a list of numbers and ranges (example: 0-3,8) [SpecValue]"
    ),
    "cpuAffinity: [0, 1]": (
        "2:14: cpuAffinity: expected text or a whole number or a mapping, got a list,"
        ' as {init: "0", exec: "1"} [SpecSchema]'
    ),
}


@pytest.mark.parametrize("fields", MISTAKES)
def test_what_cannot_be_is_told_with_what_to_write(fields: str) -> None:
    assert told(parse_text(f"command: [a]\n{fields}")) == [MISTAKES[fields]]
