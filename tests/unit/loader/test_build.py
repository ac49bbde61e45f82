"""Valid documents to specs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.codec import from_dict, spec_digest, to_compact, to_dict
from reconciler.model.config import (
    Config,
    CpuLimits,
    HugetlbLimit,
    IoDeviceLimits,
    IoDeviceWeight,
    IoLimits,
    MemoryLimits,
    Mount,
    MountType,
    NetClass,
    PidsLimits,
    RdmaLimit,
    Resources,
    Rlimit,
    Rootfs,
    Security,
)
from reconciler.model.frozen import replace
from reconciler.model.isolation import (
    Device,
    Hook,
    Hooks,
    IdMapping,
    IoPriority,
    Isolation,
    MemoryPolicy,
    Namespaces,
    Scheduler,
)
from reconciler.model.spec import (
    Backoff,
    Kind,
    Origin,
    Reaction,
    ReactionKind,
    Restart,
    RestartPolicy,
    Spec,
    Suspend,
)
from tests.unit.loader.samples import FULL, parse_text, spec_of


def test_one_line_is_a_spec_with_the_file_s_name_and_safe_defaults() -> None:
    spec = spec_of("command: [sleep, inf]", "/etc/specs/my.web.yaml")
    origin = Origin(file="/etc/specs/my.web.yaml", line=1, column=1)
    config = Config(command=("sleep", "inf"))
    assert spec == Spec(name="my.web", config=config, origin=origin, digest=spec.digest)
    assert spec.digest == spec_digest(spec)
    assert config.rootfs == Rootfs(path=None, readonly=True)
    assert config.security.no_new_privileges


def test_every_field_arrives_in_the_units_of_the_model() -> None:
    spec = spec_of(FULL)
    assert spec.kind is Kind.JOB
    assert spec.labels == {"tier": "front"}
    assert spec.restart == Restart(
        policy=RestartPolicy.ON_FAILURE,
        backoff=Backoff(jitter=0.5),
        reset_after_ns=600 * 10**9,
        max_attempts=5,
        permanent_exit_codes=(2, 78),
    )
    assert spec.deadline_ns == 3600 * 10**9
    assert spec.suspend == Suspend(reason="under repair", until=1_769_860_800.0)
    assert spec.config == Config(
        command=("/usr/bin/python3", "-m", "http.server", "8080"),
        env={"PORT": "8080"},
        workdir="/srv",
        user="1000:1000",
        groups=("video", "27"),
        hostname="web.example.org",
        rootfs=Rootfs(path="/srv/rootfs"),
        mounts=(
            Mount(
                type=MountType.BIND,
                source="/etc/specs/html",
                target="/srv",
                options=("ro", "rbind"),
            ),
            Mount(type=MountType.BIND, source="/etc/specs/conf", target="/conf"),
            Mount(type=MountType.TMPFS, target="/tmp", size_bytes=64 * 2**20, mode="1777"),
            Mount(
                type=MountType.OVERLAY,
                target="/over",
                lower=("/etc/specs/a", "/b"),
                upper="/etc/specs/up",
                work="/etc/specs/work",
            ),
            Mount(
                type=MountType.BIND,
                source="/data",
                target="/data",
                options=("idmap",),
                uid_mappings=(IdMapping(container_id=0, host_id=1000, size=1),),
                gid_mappings=(IdMapping(container_id=0, host_id=1000, size=1),),
            ),
        ),
        resources=Resources(
            memory=MemoryLimits(
                max_bytes=256 * 2**20,
                high_bytes=200 * 2**20,
                low_bytes=64 * 2**20,
                min_bytes=2**20,
                oom_group=True,
                swap_bytes=0,
                reservation_bytes=8 * 2**20,
                swappiness=10,
                disable_oom_killer=True,
            ),
            cpu=CpuLimits(
                max_milli=1500,
                period_us=50_000,
                burst_ns=20_000_000,
                weight=100,
                cpus="0-3",
                mems="0",
                realtime_runtime_us=50_000,
                realtime_period_us=10**6,
            ),
            pids=PidsLimits(max=128),
            io=IoLimits(
                weight=50,
                weights=(IoDeviceWeight(device="8:16", weight=200),),
                max=(
                    IoDeviceLimits(
                        device="8:0",
                        read_bytes=2**20,
                        write_bytes=2**21,
                        read_ops=3,
                        write_ops=4,
                    ),
                ),
            ),
            hugetlb=(HugetlbLimit(page_size_bytes=2**21, max_bytes=2**26),),
            rdma=(RdmaLimit(device="mlx5_0", hca_handles=2, hca_objects=3),),
            net=NetClass(class_id=1048577, priorities=(("eth0", 5),)),
            unified=(("cgroup.max.depth", "4"), ("memory.swap.high", "1M")),
        ),
        security=Security(capabilities=("NET_BIND_SERVICE",)),
        rlimits=(
            Rlimit(type="CORE", soft=0, hard=0),
            Rlimit(type="NOFILE", soft=1024, hard=4096),
            Rlimit(type="STACK", soft=None, hard=None),
        ),
        oom_score_adj=500,
        isolation=Isolation(
            domainname="example.org",
            namespaces=Namespaces(
                pid="host", network="/run/netns/blue", user="private", time="private"
            ),
            time_offsets={"boottime": (-2, 500_000_000), "monotonic": (86400, 0)},
            uid_mappings=(IdMapping(container_id=0, host_id=524288, size=65536),),
            gid_mappings=(IdMapping(container_id=0, host_id=524288, size=65536),),
            sysctl={"net.core.somaxconn": "4096"},
            umask=0o027,
            rootfs_propagation="rslave",
            no_pivot=True,
            hooks=Hooks(
                prestart=(Hook(path="/bin/a", args=("/bin/a",), timeout_s=30.0),),
                create_runtime=(
                    Hook(path="/etc/specs/up", args=("./up", "-v"), env=("A=1",), timeout_s=1.5),
                ),
                create_container=(Hook(path="/bin/b", args=("/bin/b",), timeout_s=30.0),),
                start_container=(Hook(path="/bin/c", args=("/bin/c",), timeout_s=30.0),),
                poststart=(Hook(path="/bin/d", args=("/bin/d",), timeout_s=30.0),),
                poststop=(Hook(path="/bin/e", args=("/bin/e",), timeout_s=30.0),),
            ),
            annotations={"zone": "dmz"},
            net_devices={"eth1": "eth0"},
            devices=(
                Device(
                    path="/dev/fuse",
                    type="c",
                    major=10,
                    minor=229,
                    mode=0o660,
                    uid=1,
                    gid=2,
                    access="rw",
                ),
            ),
            scheduler=Scheduler(
                policy="SCHED_DEADLINE",
                runtime_ns=10**6,
                deadline_ns=2 * 10**6,
                period_ns=3 * 10**6,
                flags=("SCHED_FLAG_RESET_ON_FORK",),
            ),
            init_affinity="0-1",
            cpu_affinity=(None, "2"),
            personality="LINUX32",
            memory_policy=MemoryPolicy(
                mode="MPOL_BIND", nodes="0-1", flags=("MPOL_F_STATIC_NODES",)
            ),
            io_priority=IoPriority(io_class="IOPRIO_CLASS_BE", priority=7),
            masked_paths=("/proc/kcore",),
            readonly_paths=("/proc/sys",),
            apparmor_profile="web",
            selinux_label="system_u:system_r:container_t:s0",
        ),
    )


def test_what_changes_of_a_file_ask_for_is_in_the_references() -> None:
    signal = Reaction(kind=ReactionKind.SIGNAL, signal="HUP")
    reload = Reaction(kind=ReactionKind.EXEC, command=("/bin/reload", "--now"))
    found = {one.path: one.reaction for one in spec_of(FULL).references}
    assert found == {
        "/etc/specs/conf": reload,
        "/etc/specs/html": signal,
        "/etc/specs/live.env": replace(signal, signal="USR1"),
        "/etc/specs/nor-this.env": Reaction(kind=ReactionKind.IGNORE),
        "/etc/specs/run.env": replace(reload, command=("/bin/reload",)),
    }
    assert list(found) == sorted(found)


def test_relative_paths_are_relative_to_the_file() -> None:
    text = "command: [a]\nrootfs: {path: ../root}\nmounts: [{type: bind, source: d, target: //a/}]"
    config = spec_of(text, "/srv/specs/web.yaml").config
    assert config.rootfs.path == "/srv/root"
    assert (config.mounts[0].source, config.mounts[0].target) == ("/srv/specs/d", "/a")


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("kind: Job", RestartPolicy.NEVER),
        ("kind: Job\nrestart: {policy: on-failure}", RestartPolicy.ON_FAILURE),
        ("kind: Container", RestartPolicy.ALWAYS),
    ],
)
def test_a_job_is_not_restarted_unless_it_says_so(text: str, policy: RestartPolicy) -> None:
    assert spec_of(f"command: [a]\n{text}").restart.policy is policy


def test_an_overlay_may_be_written_to_unless_the_spec_says_otherwise() -> None:
    assert not spec_of("command: [a]\nrootfs: {path: /r, overlay: true}").config.rootfs.readonly
    readonly = "command: [a]\nrootfs: {path: /r, overlay: true, readonly: true}"
    assert spec_of(readonly).config.rootfs.readonly


def test_the_spelling_of_a_spec_does_not_change_its_digest() -> None:
    first = spec_of("command: [a]\nlabels: {a: x, b: y}\nresources: {memory: {max: 1Mi}}")
    second = spec_of(
        '{"resources": {"memory": {"max": 1048576}}, "labels": {"b": "y", "a": "x"},'
        ' "user": null, "command": ["a"]}'.replace('"user": null, ', "")
    )
    assert first.digest == second.digest
    assert first.digest != spec_of("command: [a]\nlabels: {a: x}").digest


def test_each_document_of_a_file_is_a_spec_with_its_line() -> None:
    parsed = parse_text("command: [a]\n---\nname: b\ncommand: [b]\n---\nname: c\ncommand: [c]\n")
    assert [(spec.name, spec.origin.line) for spec in parsed.specs] == [
        ("web", 1),
        ("b", 3),
        ("c", 6),
    ]


def test_a_bad_document_leaves_the_good_ones_of_its_file_alone() -> None:
    parsed = parse_text("command: [a]\n---\nname: b\ncommand: b\n---\nname: 5\ncommand: [c]")
    assert [spec.name for spec in parsed.specs] == ["web"]
    assert parsed.troubled == ("b",)
    assert parsed.has_unnamed


# --- properties --------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
KEY = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
PATH = st.lists(KEY, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
SIZE = st.integers(1, 2**40) | st.integers(1, 999).map(lambda number: f"{number}Mi")
DURATION = st.integers(1, 999).map(lambda number: f"{number}ms")


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


TMPFS = st.fixed_dictionaries(
    {"type": st.just("tmpfs"), "target": PATH}, optional={"size": SIZE, "mode": st.just("0755")}
)
BIND = st.fixed_dictionaries(
    {"type": st.just("bind"), "target": PATH, "source": PATH},
    optional={"options": st.lists(st.sampled_from(["ro", "nosuid", "nodev"]), unique=True)},
)
DOCUMENTS = st.fixed_dictionaries(
    {"command": st.tuples(TEXT.filter(bool), TEXT).map(list)},
    optional={
        "kind": st.sampled_from(["Container", "Job"]),
        "labels": st.dictionaries(KEY, TEXT, max_size=3),
        "state": st.sampled_from(["running", "paused", "stopped"]),
        "env": st.dictionaries(KEY, TEXT, max_size=3),
        "user": st.integers(0, 2**31) | st.sampled_from(["www-data", "1:2"]),
        "rootfs": some(path=PATH, readonly=st.booleans()),
        "mounts": st.lists(TMPFS | BIND, max_size=3),
        "network": st.sampled_from(["none", "host"]),
        "resources": some(
            memory=some(
                max=SIZE.filter(lambda size: isinstance(size, str) or size >= 4096), swap=SIZE
            ),
            cpu=some(max=st.integers(1, 9000).map(lambda milli: f"{milli}m")),
            pids=some(max=st.integers(1, 2**22)),
        ),
        "rlimits": some(nofile=st.integers(0, 2**20), core=st.just("unlimited")),
        "restart": some(backoff=some(factor=st.floats(1, 100), initial=DURATION)),
        "stop": some(grace=DURATION, signal=st.sampled_from(["TERM", "INT"])),
        "logs": some(maxFiles=st.integers(1, 1000)),
    },
)


def dump_yaml(document: dict[str, Any]) -> str:
    """Return plain scalars for enums and numbers, and quoted texts in flow collections."""
    lines = []
    for key, value in document.items():
        is_nested = isinstance(value, dict | list)
        text = json.dumps(value, ensure_ascii=False) if is_nested else str(value)
        text = re.sub(
            "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", text
        )
        lines.append(f"{key}: {text}\n")
    return "".join(lines)


@given(DOCUMENTS)
def test_a_spec_dumped_as_yaml_or_json_loads_as_itself(document: dict[str, Any]) -> None:
    as_yaml = spec_of(dump_yaml(document), "/d/web.yaml")
    for is_ascii in (True, False):
        as_json = spec_of(json.dumps(document, ensure_ascii=is_ascii), "/d/web.json")
        assert replace(as_json, origin=as_yaml.origin) == as_yaml
    assert as_yaml.config.command == tuple(document["command"])
    assert as_yaml.config.env == document.get("env", {})
    assert as_yaml.labels == document.get("labels", {})


@given(DOCUMENTS)
def test_a_spec_survives_the_cache_and_the_record(document: dict[str, Any]) -> None:
    spec = spec_of(json.dumps(document), "/d/web.json")
    assert from_dict(Spec, json.loads(json.dumps(to_compact(spec)))) == spec
    assert from_dict(Spec, json.loads(json.dumps(to_dict(spec)))) == spec


@pytest.mark.parametrize(
    ("text", "suspend"),
    [("false", None), ("true", Suspend()), ("{reason: x}", Suspend(reason="x"))],
)
def test_a_suspension_is_a_word_or_says_why(text: str, suspend: Suspend | None) -> None:
    assert spec_of(f"command: [x]\nsuspend: {text}\n").suspend == suspend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deadline: 1h", "a container is kept running and has no deadline"),
        ("kind: Job\ndeadline: 0s", "must be more than 0"),
        ("suspend: {until: tomorrow}", "'tomorrow' is not a time"),
    ],
)
def test_a_deadline_for_no_job_and_a_suspension_until_no_time_are_refused(
    text: str, message: str
) -> None:
    (problem,) = parse_text(f"command: [x]\n{text}\n").problems
    assert message in problem.message
    assert problem.name == "SpecValue"
