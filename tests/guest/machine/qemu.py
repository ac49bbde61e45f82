"""The command lines of the emulator and of what serves the host's file system to it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.guest.machine.errors import Unavailable

QEMU = "qemu-system-x86_64"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"  # Debian 12's, with qemu-system-x86
BUSYBOX = "/bin/busybox"

KERNEL_WORDS = (
    "console=ttyS0 reboot=t panic=-1 loglevel=3 mitigations=off audit=0 apparmor=0"
    " random.trust_cpu=1 rcupdate.rcu_expedited=1 cgroup_no_v1=all"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one run of the emulator is made of; `control` is a directory of its own."""

    kernel: Path
    control: Path
    memory: str = "2G"
    cpus: int = os.cpu_count() or 1
    ports: Sequence[int] = ()  # file descriptors that the guest's serial ports write to
    is_terminal: bool = False  # its console is our terminal


def check_host() -> None:
    """Raise Unavailable with the reason if this host cannot run the guest."""
    if platform.machine() != "x86_64":
        raise Unavailable(f"the guest is an x86_64 machine, this host is {platform.machine()}")
    if os.geteuid() != 0:
        raise Unavailable("needs root, to show the guest all of the host's files")
    for program, package in (
        (QEMU, "qemu-system-x86"),
        (VIRTIOFSD, "qemu-system-common"),
        (BUSYBOX, "busybox-static"),
        ("depmod", "kmod"),
    ):
        if shutil.which(program) is None:
            raise Unavailable(
                f"needs {program} (package {package}): as root on Debian tests/run installs it"
            )


def has_hardware() -> bool:
    """Tell whether KVM is backed by the processor: a paravirtual /dev/kvm only emulates, badly."""
    if not os.access("/dev/kvm", os.W_OK) or Path("/sys/module/kvm_pvm").exists():
        return False
    words = set(Path("/proc/cpuinfo").read_text().split())
    return bool(words & {"vmx", "svm"})


def virtiofsd_command(machine: Machine) -> list[str]:
    """Return the command that serves / at the socket `files` in the control directory."""
    return [
        VIRTIOFSD,
        "-f",
        f"--socket-path={machine.control}/files",
        *("-o", "source=/"),
        *("-o", "cache=always"),
        *("-o", "sandbox=chroot"),
        *("-o", "log_level=err"),
        "--thread-pool-size=0",
    ]


def qemu_command(machine: Machine) -> list[str]:
    """Return the emulator's command; the scratch disk is the file `disk` in the directory."""
    control = machine.control
    words = f"{KERNEL_WORDS} guest.control={control}"
    command = [
        QEMU,
        *("-M", "pc,usb=off,vmport=off", "-global", "PIIX4_PM.disable_s3=1"),
        *("-smp", str(machine.cpus), "-m", machine.memory),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(machine.kernel), "-initrd", f"{control}/initramfs", "-append", words),
        # virtiofs reads and writes the guest's memory itself.
        *("-object", f"memory-backend-memfd,id=memory,size={machine.memory},share=on"),
        *("-machine", "memory-backend=memory"),
        *("-chardev", f"socket,id=files,path={control}/files"),
        *("-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024"),
        *("-chardev", f"file,id=console,path={control}/console", "-serial", "chardev:console"),
        *("-drive", f"file={control}/disk,format=raw,if=none,id=disk,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-serial-pci"),
    ]
    if has_hardware():
        command += ["-accel", "kvm", "-cpu", "host"]
    else:
        command += ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64"]
    for number, descriptor in enumerate(machine.ports, start=1):
        command += ["-chardev", f"file,id=port{number},path=/dev/fd/{descriptor}"]
        command += ["-device", f"virtserialport,nr={number},chardev=port{number}"]
    if machine.is_terminal:
        command += ["-chardev", "stdio,id=terminal,signal=off"]
        command += ["-device", "virtconsole,chardev=terminal"]
    return command
