"""What a user reads of mounts that cannot be made."""

from __future__ import annotations

import pytest

from tests.unit.loader.samples import parse_text, told

MISTAKES = {
    "{type: tmpfs, target: /a, options: [nosiud]}": (
        "2:46: mounts[0].options[0]: 'nosiud' is no option of a mount of type tmpfs;"
        " did you mean 'nosuid'? [SpecValue]"
    ),
    "{type: tmpfs, target: /a, options: ['ro,nosuid']}": (
        "2:46: mounts[0].options[0]: 'ro,nosuid' is several options: write each as an item of the"
        " list [SpecValue]"
    ),
    "{type: tmpfs, target: /a, options: [ro=1]}": (
        "2:46: mounts[0].options[0]: 'ro=1' is no option of a mount of type tmpfs;"
        " did you mean 'ro'? [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [tmpcopyup]}": (
        "2:57: mounts[0].options[0]: 'tmpcopyup' is no option of a mount of type bind [SpecValue]"
    ),
    "{type: proc, target: /proc, options: [rbind]}": (
        "2:48: mounts[0].options[0]: the option 'rbind' is not for a mount of type proc [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [rro, rrw]}": (
        "2:62: mounts[0].options[1]: the options 'rro' and 'rrw' contradict each other [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [private, slave]}": (
        "2:66: mounts[0].options[1]: the options 'private' and 'slave' contradict each other"
        " [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [idmap]}": (
        "2:10: mounts[0].uidMappings: the field is missing: idmap needs uidMappings and"
        " gidMappings, of the mount or of the container's own user namespace [SpecValue]"
    ),
    "{type: overlay, target: /a}": (
        "2:10: mounts[0].lower: the field 'lower' is missing: an overlay needs it, as [./base]"
        " [SpecValue]"
    ),
    "{type: overlay, target: /a, lower: [/b], upper: /c}": (
        "2:10: mounts[0].work: the field 'work' is missing: an upper layer needs both,"
        " on one file system [SpecValue]"
    ),
    "{type: overlay, target: /a, lower: [/b]}": (
        "2:45: mounts[0].lower: one layer alone is no overlay; use type: bind with ro,"
        " or add upper and work [SpecValue]"
    ),
    "{type: overlay, target: /a, lower: [/b, /c], options: [lowerdir=/d]}": (
        "2:65: mounts[0].options[0]: write it as a field, 'lower: ...', beside 'type: overlay'"
        " [SpecValue]"
    ),
    "{type: mqueue, target: /dev/mqueue, source: /a}": (
        "2:54: mounts[0].source: a mqueue mount has no 'source'; it is for bind [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [readonly]}": (
        "2:57: mounts[0].options[0]: 'readonly' is no option of a mount; write 'ro' [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, options: [z]}": (
        "2:57: mounts[0].options[0]: 'z' would give files another label of SELinux:"
        " do that on the host [SpecValue]"
    ),
    "{type: bind, source: /a, target: /a, propagation: rslave}": (
        "2:47: mounts[0].propagation: unknown field 'propagation';"
        " write 'options: [rslave]', or rshared [SpecSchema]"
    ),
    "{type: nfs, target: /a}": (
        "2:17: mounts[0].type: 'nfs' is not known here; mount it on the host, and its directory"
        " here: 'type: bind' [SpecSchema]"
    ),
    "{type: proc, target: /proc, options: [hidepd=2]}": (
        "2:48: mounts[0].options[0]: 'hidepd=2' is no option of a mount of type proc;"
        " did you mean 'hidepid'? [SpecValue]"
    ),
}


@pytest.mark.parametrize("mount", MISTAKES)
def test_what_cannot_be_is_told_with_what_to_write(mount: str) -> None:
    assert told(parse_text(f"command: [a]\nmounts: [{mount}]")) == [MISTAKES[mount]]
