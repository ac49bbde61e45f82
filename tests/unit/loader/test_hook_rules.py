"""What a user reads of hooks and network devices that cannot be."""

from __future__ import annotations

import pytest

from tests.unit.loader.samples import parse_text, told

MISTAKES = {
    "hooks: {poststart: [{command: [notify]}]}": (
        "2:32: hooks.poststart[0].command[0]: 'notify' is not looked up anywhere: write its path,"
        " as /usr/bin/notify [SpecValue]"
    ),
    "hooks: {startContainer: [{command: [./a]}]}": (
        "2:37: hooks.startContainer[0].command[0]: './a' is a path inside the container,"
        " and must begin with '/' [SpecValue]"
    ),
    "hooks: {poststop: [{command: [/a], timeout: 0}]}": (
        "2:45: hooks.poststop[0].timeout: must be more than 0; the default is 30s [SpecValue]"
    ),
    "hooks: {postStop: [{command: [/a]}]}": (
        "2:9: hooks.postStop: unknown field 'postStop'; did you mean 'poststop'? [SpecSchema]"
    ),
    "netDevices: {eth1: eth0, eth2: eth0}": (
        "2:32: netDevices.eth2: 'eth0' is the name of eth1 inside already [SpecValue]"
    ),
    "netDevices: {eth1: eth0}\nnetwork: host": (
        "2:13: netDevices: they need a network of the container's own; leave out 'network: host'"
        " [SpecValue]"
    ),
    "devices: [{path: /dev/x, major: 3}]": (
        "2:11: devices[0].type: the field 'type' is missing: type, major and minor go together;"
        " without them it is the host's /dev/x [SpecValue]"
    ),
    "devices: [/dev/fuse]": (
        "2:11: devices[0]: expected a mapping, got the text '/dev/fuse';"
        " write {path: /dev/fuse} [SpecSchema]"
    ),
    "devices: ['/dev/fuse:/dev/fuse']": (
        "2:11: devices[0]: expected a mapping, got the text '/dev/fuse:/dev/fuse';"
        " write {path: /dev/fuse} [SpecSchema]"
    ),
    "devices: [{path: /dev/a, permissions: rwm}]": (
        "2:26: devices[0].permissions: unknown field 'permissions'; write 'access: rw' [SpecSchema]"
    ),
    "hooks: {poststart: /bin/a -v}": (
        "2:20: hooks.poststart: expected a list, got the text '/bin/a -v';"
        " write [{command: [/bin/a, -v]}] [SpecSchema]"
    ),
    "hooks: {poststart: [/bin/a]}": (
        "2:21: hooks.poststart[0]: expected a mapping, got the text '/bin/a';"
        " write {command: [/bin/a]} [SpecSchema]"
    ),
    "hooks: {poststart: [{command: [/a], path: /a}]}": (
        "2:37: hooks.poststart[0].path: unknown field 'path';"
        " write 'command: [/usr/local/bin/net-up, ARGUMENT]' [SpecSchema]"
    ),
    "hooks: {preStop: []}": (
        "2:9: hooks.preStop: unknown field 'preStop';"
        " write 'stop: {preStop: [COMMAND, ...]}' [SpecSchema]"
    ),
    "devices: [{path: fuse}]": (
        "2:18: devices[0].path: 'fuse' is not the path of a device (example: /dev/fuse) [SpecValue]"
    ),
    "resources: {cpu: {period: 20ms}}": (
        "2:27: resources.cpu.period: there is no quota to keep to; set resources.cpu.max too"
        " [SpecValue]"
    ),
    "resources: {cpu: {max: 1, period: 2s}}": (
        "2:35: resources.cpu.period: 2s is not from 1ms to 1s [SpecValue]"
    ),
    "netDevices: {eth1: a/b}": (
        "2:20: netDevices.eth1: 'a/b' is no name of a network device (1 to 15 characters,"
        " without '/', ':' and blanks) [SpecValue]"
    ),
}


@pytest.mark.parametrize("fields", MISTAKES)
def test_what_cannot_be_is_told_with_what_to_write(fields: str) -> None:
    assert told(parse_text(f"command: [a]\n{fields}")) == [MISTAKES[fields]]
