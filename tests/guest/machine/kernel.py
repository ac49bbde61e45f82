"""The guest's kernel: Debian's package, fetched once with apt and unpacked beside it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.guest.machine.errors import Unavailable
from tests.guest.machine.vmlinux import extract_vmlinux

META_PACKAGE = "linux-image-cloud-amd64"
FETCH_LIMIT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel to boot, and the directory of its modules with their index."""

    image: Path
    modules: Path


def cache_dir() -> Path:
    """Return where packages and kernels are kept: RECONCILER_GUEST_CACHE, else the user's cache."""
    chosen = os.environ.get("RECONCILER_GUEST_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "reconciler-guest"


def prepare_kernel() -> Kernel:
    """Return the kernel, fetching and unpacking it if it is not there.

    Raises: Unavailable.
    """
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / "lock"):
        package = _fetched_package(cache) or _fetch_package(cache)
        unpacked = cache / package.stem
        if not (unpacked / "vmlinux").exists():
            _unpack(package, unpacked)
    (modules,) = (unpacked / "lib/modules").iterdir()
    return Kernel(image=unpacked / "vmlinux", modules=modules)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time fetch and unpack."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetched_package(cache: Path) -> Path | None:
    return max(cache.glob("linux-image-*[0-9]-cloud-amd64_*.deb"), default=None)


def _fetch_package(cache: Path) -> Path:
    """Fetch what the meta package stands for now; apt's own sources say from where."""
    if shutil.which("apt-get") is None:
        raise Unavailable(f"needs the kernel package {META_PACKAGE}: this host has no apt-get")
    name = _package_name()
    if name is None:
        _run("apt-get", "-q", "update", cwd=cache)  # a fresh machine has no lists
        name = _package_name()
    if name is None:
        raise Unavailable(f"needs the kernel package {META_PACKAGE}: apt does not know it")
    # apt-get drops its rights for downloads where it can, and warns where it cannot.
    _run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name, cwd=cache)
    package = _fetched_package(cache)
    if package is None:
        raise Unavailable(f"needs the kernel package {name}: apt-get download left no file")
    return package


def _package_name() -> str | None:
    done = subprocess.run(
        ["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=False
    )
    found = re.search(r"Depends: (linux-image-[0-9]\S*)", done.stdout)
    return found[1] if found else None


def _unpack(package: Path, target: Path) -> None:
    made = target.with_name(f"{target.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    _run("dpkg-deb", "-x", str(package), str(made), cwd=package.parent)
    (modules,) = (made / "lib/modules").iterdir()
    # Debian's packages come without the index; their installation makes it.
    _run("depmod", "-b", str(made), modules.name, cwd=package.parent)
    packed = (made / f"boot/vmlinuz-{modules.name}").read_bytes()
    (made / "vmlinux").write_bytes(extract_vmlinux(packed) or packed)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, timeout=FETCH_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"cannot get the guest's kernel: {' '.join(command)}: not done after {FETCH_LIMIT_S} s"
        ) from None
    except FileNotFoundError:
        raise Unavailable(f"needs {command[0]}: as root on Debian tests/run installs it") from None
    if done.returncode != 0:
        raise Unavailable(f"cannot get the guest's kernel: {' '.join(command)}: {done.stderr}")
