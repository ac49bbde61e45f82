"""The default seccomp profile: which system calls a container may make.

Called by the engine when it prepares a start. An allow list, in the spirit of the defaults of
other engines: what ordinary programs use is allowed; what reaches beyond the container wants
the capability that the kernel's own check wants; what is known and not listed fails with
EPERM; what is newer than our table fails with ENOSYS, upon which libraries fall back.
It may not load the filter. Sources: capabilities(7), the manual page of each call.
"""

from __future__ import annotations

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Iterator, lru_cache
from reconciler.linux.seccomp import (
    AUDIT_ARCH_AARCH64,
    AUDIT_ARCH_X86_64,
    RET_ENOSYS,
    RET_EPERM,
    SECCOMP_RET_ALLOW,
    ArgCheck,
    Verdict,
    compile_filter,
)
from reconciler.linux.syscall_numbers import syscall_numbers

_ARCH = {"x86_64": AUDIT_ARCH_X86_64, "aarch64": AUDIT_ARCH_AARCH64}

# Names that a machine does not have are skipped. Not here on purpose: io_uring_* (it does
# what other calls do without being filtered itself), userfaultfd, keyctl and its kin (keyrings
# know no containers), kexec_*, swapon, swapoff, nfsservctl, move_pages, migrate_pages.
_ALLOWED = """
access faccessat faccessat2 open openat openat2 creat close close_range dup dup2 dup3 fcntl
flock ioctl lseek read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2
sendfile splice tee vmsplice copy_file_range pipe pipe2 truncate ftruncate fallocate fadvise64
readahead cachestat sync syncfs fsync fdatasync sync_file_range memfd_create memfd_secret
io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
stat fstat lstat newfstatat statx statfs fstatfs statmount listmount file_getattr file_setattr
getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir mknod mknodat link linkat unlink
unlinkat symlink symlinkat readlink readlinkat rename renameat renameat2 umask chmod fchmod
fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat listxattr
llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
name_to_handle_at inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark

poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
epoll_pwait2 eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime

brk mmap munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall
remap_file_pages membarrier mseal map_shadow_stack pkey_mprotect pkey_alloc pkey_free

fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill pidfd_open
pidfd_send_signal process_mrelease getpid getppid gettid getpgid getpgrp getsid setpgid setsid
rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo
rt_tgsigqueueinfo rt_sigreturn sigaltstack pause restart_syscall
futex futex_waitv futex_wait futex_wake futex_requeue set_robust_list get_robust_list
set_tid_address rseq rseq_slice_yield prctl arch_prctl modify_ldt set_thread_area
get_thread_area ptrace process_vm_readv process_vm_writev uretprobe uprobe
getpriority setpriority getrlimit setrlimit prlimit64 getrusage ioprio_get ioprio_set getcpu
sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getattr
sched_setattr sched_getscheduler sched_setscheduler sched_get_priority_max
sched_get_priority_min sched_rr_get_interval

getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid
setresuid setresgid setfsuid setfsgid setgroups capget capset seccomp landlock_create_ruleset
landlock_add_rule landlock_restrict_self

time times gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep alarm getitimer
setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete adjtimex
clock_adjtime

socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt
setsockopt sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr

uname sysinfo getrandom
"""

_ALLOWED_WITH = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYS_ADMIN": """
        mount umount2 pivot_root mount_setattr move_mount open_tree open_tree_attr fsopen
        fsconfig fsmount fspick clone clone3 setns unshare listns sethostname setdomainname
        bpf perf_event_open fanotify_init quotactl quotactl_fd syslog lsm_get_self_attr
        lsm_set_self_attr lsm_list_modules
        """,
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "init_module finit_module delete_module",
    "SYS_NICE": "get_mempolicy set_mempolicy set_mempolicy_home_node mbind",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "iopl ioperm",
    "SYS_TIME": "settimeofday clock_settime",
    "SYS_TTY_CONFIG": "vhangup",
    "SYSLOG": "syslog",
}

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of linux/sched.h. NEWTIME
# shares its bit with clone's exit signal and works in clone3 and unshare alone.
_CLONE_NEW_ANY = 0x7E020000

_PER_LINUX, _PER_LINUX32, _UNAME26 = 0x0, 0x8, 0x20000
_PERSONALITIES = (
    *(_PER_LINUX, _PER_LINUX32, _UNAME26, _UNAME26 | _PER_LINUX32),
    0xFFFFFFFF,  # asks, and changes nothing
)
_AF_ALG, _AF_VSOCK = 38, 40  # the kernel's crypto code; a way to the hypervisor, past netns

_CONDITIONAL: dict[str, Verdict] = {
    "clone": ArgCheck(0, (0,), SECCOMP_RET_ALLOW, RET_EPERM, mask=_CLONE_NEW_ANY),
    "clone3": RET_ENOSYS,  # its flags are in memory, out of a filter's sight: use clone
    "personality": ArgCheck(0, _PERSONALITIES, SECCOMP_RET_ALLOW, RET_EPERM),
    "socket": ArgCheck(0, (_AF_ALG, _AF_VSOCK), RET_EPERM, SECCOMP_RET_ALLOW),
}


@lru_cache(maxsize=64)
def default_filter(capabilities: frozenset[str], machine: str) -> bytes:
    """Return the default profile, compiled, for a set of capabilities (names without CAP_).

    `machine` is uname(2)'s.

    Raises: NotSupported for a machine whose system calls we do not know.
    """
    if machine not in _ARCH:
        raise ReconcilerError(
            ErrorCode.NotSupported,
            f"cannot make a seccomp filter: no profile for {machine} "
            f"(there is one for {' and '.join(sorted(_ARCH))})",
        )
    allowed = set(_allowed_names(capabilities))
    verdicts: dict[int, Verdict] = {}
    for name, number in syscall_numbers(machine).items():
        verdict = _CONDITIONAL.get(name, RET_EPERM)
        verdicts[number] = SECCOMP_RET_ALLOW if name in allowed else verdict
    return compile_filter(_ARCH[machine], verdicts, default=RET_ENOSYS)


def _allowed_names(capabilities: frozenset[str]) -> Iterator[str]:
    yield from _ALLOWED.split()
    for capability in capabilities:
        yield from _ALLOWED_WITH.get(capability, "").split()
