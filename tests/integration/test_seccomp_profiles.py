"""Seccomp profiles as an OCI config has them: actions, arguments, a listener."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from tests.integration.conftest import run
from tests.integration.listed import listed

pytestmark = pytest.mark.requires_root


def profile(*syscalls: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> str:
    import json

    return json.dumps({"defaultAction": default, "syscalls": list(syscalls), **more})


def test_a_seccomp_profile_decides_by_call_and_argument(engine: Engine, rootfs: Path) -> None:
    text = profile(
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
        },
        {"names": ["no_such_call"], "action": "SCMP_ACT_KILL"},
    )
    script = "mkdir /tmp/d; kill -USR1 $$; echo alive; kill -0 $$ && echo signalled"
    _, rows = run(engine, listed(rootfs, script, seccomp=text))
    assert rows == ["alive", "signalled"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"defaultAction": "SCMP_ACT_MAYBE"}', "'SCMP_ACT_MAYBE' is no action"),
        (profile({"names": ["kill"], "action": "SCMP_ACT_NOTIFY"}), "needs listenerPath"),
        (
            profile(
                {
                    "names": ["kill"],
                    "action": "SCMP_ACT_LOG",
                    "args": [{"index": 7, "value": 0, "op": "SCMP_CMP_EQ"}],
                }
            ),
            "numbered from 0 to 5",
        ),
        (profile(flags=["SECCOMP_FILTER_FLAG_FAST"]), "no flag of seccomp"),
    ],
)
def test_a_seccomp_profile_that_cannot_be_used_is_refused(
    engine: Engine, rootfs: Path, text: str, message: str
) -> None:
    with pytest.raises(ReconcilerError, match=message) as caught:
        engine.create("c1", listed(rootfs, "true", seccomp=text)).start()
    assert caught.value.code is ErrorCode.ConfigInvalid


def test_the_listener_of_a_seccomp_profile_gets_the_descriptor_and_the_state(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    import json

    path = str(tmp_path / "listener")
    text = profile(
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"},
        listenerPath=path,
        listenerMetadata="mine",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(30)
        container = engine.create("c1", listed(rootfs, "sleep 60", seccomp=text))
        pid = container.start().pid
        peer, _ = listener.accept()
        with peer:
            data, fds, _, _ = socket.recv_fds(peer, 65536, 4)
    said = json.loads(data)
    assert len(fds) == 1
    os.close(fds[0])
    assert (said["pid"], said["metadata"], said["fds"]) == (pid, "mine", ["seccompFd"])
    assert said["state"]["id"] == "c1"
