"""Kernel parameters of other namespaces: those of the process that is asked about, never ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.linux.inside import missing_parameters, read_parameters
from reconciler.linux.proc import parameter_path

pytestmark = pytest.mark.requires_root

START, SHM = "net.ipv4.ip_unprivileged_port_start", "kernel.shmmni"


@pytest.fixture
def pid() -> Iterator[int]:
    """Give a process in namespaces of its own, with parameters of its own."""
    script = f"sysctl -qw {START}=77 {SHM}=33 kernel.domainname=inside; echo; exec sleep 1000"
    command = ["unshare", "--net", "--ipc", "--uts", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.kill()


def test_parameters_are_those_of_the_process_and_ours_stay_ours(pid: int) -> None:
    ours = {name: Path(parameter_path(name)).read_text() for name in (START, SHM)}
    namespaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("net", "ipc", "uts")}
    names = (START, SHM, "kernel.domainname", "net.ipv4.ip_local_port_range", "net.core.nothing")
    found = read_parameters({pid: names})[pid]
    first, last = found.pop("net.ipv4.ip_local_port_range").split(" ")
    assert int(first) < int(last)
    assert found == {START: "77", SHM: "33", "kernel.domainname": "inside"}
    assert {name: Path(parameter_path(name)).read_text() for name in ours} == ours
    assert {name: os.readlink(f"/proc/self/ns/{name}") for name in namespaces} == namespaces


def test_the_procfs_of_another_process_shows_the_parameters_of_who_reads_it(pid: int) -> None:
    """Why a namespace has to be entered."""
    path = parameter_path(START)
    assert Path(f"/proc/{pid}/root{path}").read_text() == Path(path).read_text() != "77\n"


def test_a_process_that_has_ended_is_left_out() -> None:
    assert read_parameters({2**22 + 1: (START,)}) == {}
    assert read_parameters({}) == {}


def test_what_only_the_host_has_or_nobody_is_missing_in_fresh_namespaces() -> None:
    assert missing_parameters((START, SHM, "net.core.nothing")) == ("net.core.nothing",)


def test_an_interface_with_a_dot_in_its_name_has_a_file_of_its_own() -> None:
    assert parameter_path("net.ipv4.conf.eth0/1.mtu") == "/proc/sys/net/ipv4/conf/eth0.1/mtu"
