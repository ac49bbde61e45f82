/* The limit of the start benchmark: what a container costs without Python.
 *
 * Usage: limit SCRIPT FILTER. SCRIPT has one operation a line, its fields separated by tabs;
 * tests/bench/limit.py writes it from the engine's own launch plan. FILTER is the seccomp
 * program. Then, for each number N on a line of standard input, the whole script is run N
 * times, and the nanoseconds of each run are printed on a line of their own.
 *
 * `clone` starts a child that runs the operations up to `end`; the parent goes on behind it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_OPERATIONS 1024
#define MAX_FIELDS 64
#define MAX_TREES 16

typedef int operation_fn(char **field);

struct operation {
	operation_fn *run;
	char *field[MAX_FIELDS];   /* field[0] is its name */
};

static struct operation script[MAX_OPERATIONS];
static int script_length;
static struct sock_fprog filter;
static int epoll_fd;
static int complaint_fd = STDERR_FILENO;

/* What one operation of a run leaves for later ones. */
static int position;
static int pid, pidfd, status_fd, lock_fd, fifo_fd[2], has_ended;
static struct { const char *key; int fd; } tree[MAX_TREES];
static int trees;
static char *environment[MAX_FIELDS];
static int environment_length;

static long number(const char *text) { return strtol(text, NULL, 0); }

static const char *or_null(const char *text) { return *text ? text : NULL; }

static int put(const char *path, int flags, const char *data)
{
	int fd = open(path, flags | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	ssize_t size = strlen(data);
	int result = write(fd, data, size) == size ? 0 : -1;
	close(fd);
	return result;
}

static int get(const char *path)
{
	static char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	int result = read(fd, buffer, sizeof buffer) < 0 ? -1 : 0;
	close(fd);
	return result;
}

/* --- files --- */

static int op_mkdir(char **f) { return mkdir(f[1], number(f[2])); }
static int op_mkfifo(char **f) { return mkfifo(f[1], 0600); }
static int op_new(char **f) { return put(f[1], O_CREAT | O_TRUNC, f[2]); }
static int op_write(char **f) { return put(f[1], 0, f[2]); }
static int op_read(char **f) { return get(f[1]); }
static int op_rename(char **f) { return rename(f[1], f[2]); }
static int op_unlink(char **f) { return unlink(f[1]); }
static int op_symlink(char **f) { return symlink(f[1], f[2]); }
static int op_chmod(char **f) { return chmod(f[1], number(f[2])); }
static int op_chdir(char **f) { return chdir(f[1]); }
static int op_umask(char **f) { umask(number(f[1])); return 0; }

static int op_mknod(char **f)
{
	return mknod(f[1], S_IFCHR | number(f[2]), makedev(number(f[3]), number(f[4])));
}

static int op_rmdir(char **f)
{
	for (int left = 200; left > 0; left--) {
		if (rmdir(f[1]) == 0)
			return 0;
		if (errno != EBUSY)   /* a task leaves its cgroup a moment after its end */
			return -1;
		usleep(500);
	}
	return -1;
}

static int op_lock(char **f)
{
	lock_fd = open(f[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return lock_fd < 0 ? -1 : flock(lock_fd, LOCK_EX);
}

static int op_unlock(char **f) { (void)f; return close(lock_fd); }

/* --- the parent's side of a child --- */

static void run_script(int first, int last);

static int op_clone(char **f)
{
	int status[2];
	int cgroup_fd = *f[2] ? open(f[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0 || (*f[2] && cgroup_fd < 0))
		return -1;
	struct clone_args args = {
		.flags = number(f[1]) | CLONE_PIDFD,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = cgroup_fd;
	}
	int end = position + 1;
	while (strcmp(script[end].field[0], "end") != 0)
		end++;
	pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		complaint_fd = status[1];
		run_script(position + 1, end);
		_exit(127);
	}
	close(status[1]);
	if (cgroup_fd >= 0)
		close(cgroup_fd);
	status_fd = status[0];
	position = end;
	return pid < 0 ? -1 : 0;
}

static int op_read_stat(char **f)
{
	char path[64];
	(void)f;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	return get(path);
}

static int op_watch(char **f)
{
	for (int i = 0; i < 2; i++)
		fifo_fd[i] = open(f[1 + i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int all[] = { pidfd, fifo_fd[0], fifo_fd[1], status_fd };
	for (int i = 0; i < 4; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = all[i] };
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i], &event) < 0)
			return -1;
	}
	return 0;
}

/* Serve events until the wanted descriptor has had its own. */
static int await(int wanted_fd)
{
	struct epoll_event event;
	char data[4096];
	int fd;
	if (wanted_fd == pidfd && has_ended)
		return 0;
	do {
		if (epoll_wait(epoll_fd, &event, 1, -1) < 0)
			return -1;
		fd = event.data.fd;
		ssize_t size = fd == pidfd ? 0 : read(fd, data, sizeof data);
		if (fd == status_fd && size > 0) {
			fprintf(stderr, "limit: in the child: %.*s", (int)size, data);
			errno = ECHILD;
			return -1;
		}
		has_ended |= fd == pidfd;
		if (size <= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0)
			return -1;
	} while (fd != wanted_fd);
	return 0;
}

static int op_await_exec(char **f)
{
	(void)f;
	if (await(status_fd) < 0)
		return -1;
	return close(status_fd);
}

static int op_await_exit(char **f)
{
	int status;
	(void)f;
	if (await(pidfd) < 0)
		return -1;
	close(fifo_fd[0]);
	close(fifo_fd[1]);
	if (waitpid(pid, &status, 0) < 0)
		return -1;
	close(pidfd);
	if (status != 0) {
		fprintf(stderr, "limit: the command ended with status %#x\n", status);
		errno = ECHILD;
		return -1;
	}
	return 0;
}

/* --- the child: root file system --- */

static int *tree_of(const char *key)
{
	for (int i = 0; i < trees; i++)
		if (strcmp(tree[i].key, key) == 0)
			return &tree[i].fd;
	tree[trees].key = key;
	return &tree[trees++].fd;
}

static int attributes(int fd, const char *path, long set, long clear, int recursive)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };
	if (set & MOUNT_ATTR_NOATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	unsigned flags = (recursive ? AT_RECURSIVE : 0) | (*path ? 0 : AT_EMPTY_PATH);
	return syscall(SYS_mount_setattr, fd, path, flags, &attr, sizeof attr);
}

static int op_mount(char **f)
{
	return mount(or_null(f[1]), f[2], or_null(f[3]), number(f[4]), or_null(f[5]));
}

static int op_open_tree(char **f)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (number(f[3]) ? AT_RECURSIVE : 0);
	int fd = syscall(SYS_open_tree, AT_FDCWD, f[2], flags);
	*tree_of(f[1]) = fd;
	return fd;
}

static int op_tree_attributes(char **f)
{
	return attributes(*tree_of(f[1]), "", number(f[2]), number(f[3]), number(f[4]));
}

static int op_path_attributes(char **f)
{
	return attributes(AT_FDCWD, f[1], number(f[2]), 0, 0);
}

static int op_attach_tree(char **f)
{
	int fd = *tree_of(f[1]);
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, f[2], MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	return close(fd);
}

static int op_pivot_root(char **f)
{
	(void)f;
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return -1;
	return umount2(".", MNT_DETACH);
}

static int op_detach(char **f)
{
	while (umount2(f[1], MNT_DETACH) == 0)
		continue;
	return 0;
}

static int op_target(char **f)
{
	struct stat status;
	if (stat(f[1], &status) == 0)
		return 0;
	if (number(f[2]))
		return mkdir(f[1], 0755);
	return put(f[1], O_CREAT, "");
}

static int op_check_null(char **f)
{
	struct stat status;
	return stat(f[1], &status) == 0 && status.st_rdev == makedev(1, 3) ? 0 : -1;
}

static int op_mask(char **f)
{
	struct stat status;
	if (lstat(f[1], &status) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(status.st_mode))
		return mount("/dev/null", f[1], NULL, MS_BIND, NULL);
	unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	return mount("tmpfs", f[1], "tmpfs", flags, "size=0k,mode=755");
}

static int op_readonly(char **f)
{
	struct stat status;
	if (lstat(f[1], &status) < 0)
		return 0;
	if (mount(f[1], f[1], NULL, MS_BIND | MS_REC, NULL) < 0)
		return -1;
	return attributes(AT_FDCWD, f[1], MOUNT_ATTR_RDONLY, 0, 1);
}

/* --- the child: process --- */

static int op_setsid(char **f) { (void)f; return setsid(); }
static int op_unshare(char **f) { return unshare(number(f[1])); }
static int op_hostname(char **f) { return sethostname(f[1], strlen(f[1])); }
static int op_keyring(char **f) { (void)f; return syscall(SYS_keyctl, 1, NULL); }
static int op_prctl(char **f) { return prctl(number(f[1]), number(f[2]), 0, 0, 0); }

static int op_redirect(char **f)
{
	int target = number(f[3]);
	int fd = open(f[1], number(f[2]) | O_CLOEXEC);
	if (fd < 0 || dup2(fd, target) < 0)
		return -1;
	return fd == target ? 0 : close(fd);
}

static int op_loopback(char **f)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)f;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return -1;
	return close(fd);
}

static int op_drop_bounding(char **f)
{
	uint64_t keep = strtoull(f[1], NULL, 0);
	for (int capability = 0; capability < 64; capability++) {
		if (keep >> capability & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return errno == EINVAL && capability > 0 ? 0 : -1;
	}
	return 0;
}

static int op_groups(char **f)
{
	gid_t groups[MAX_FIELDS];
	int count = 0;
	for (; f[1 + count]; count++)
		groups[count] = number(f[1 + count]);
	return setgroups(count, groups);
}

static int op_identity(char **f)
{
	uid_t uid = number(f[1]), gid = number(f[2]);
	return setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ? -1 : 0;
}

static int op_capabilities(char **f)
{
	uint64_t mask = strtoull(f[1], NULL, 0), ambient = strtoull(f[2], NULL, 0);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	for (int half = 0; half < 2; half++) {
		data[half].effective = data[half].permitted = mask >> (32 * half);
		data[half].inheritable = ambient >> (32 * half);
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -1;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (int capability = 0; capability < 64; capability++)
		if (ambient >> capability & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
			return -1;
	return 0;
}

static int op_seccomp(char **f)
{
	(void)f;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

static int op_default_signals(char **f)
{
	(void)f;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	return 0;
}

static int op_close_range(char **f)
{
	return syscall(SYS_close_range, number(f[1]), 0x7fffffff, CLOSE_RANGE_CLOEXEC);
}

static int op_env(char **f) { environment[environment_length++] = f[1]; return 0; }
static int op_exec(char **f) { return execve(f[1], f + 2, environment); }
static int op_end(char **f) { (void)f; return 0; }

#define OP(name) { #name, op_##name }
static const struct { const char *name; operation_fn *run; } table[] = {
	OP(mkdir), OP(mkfifo), OP(new), OP(write), OP(read), OP(rename), OP(unlink), OP(symlink),
	OP(chmod), OP(chdir), OP(umask), OP(mknod), OP(rmdir), OP(lock), OP(unlock), OP(clone),
	OP(read_stat), OP(watch), OP(await_exec), OP(await_exit), OP(mount), OP(open_tree),
	OP(tree_attributes), OP(path_attributes), OP(attach_tree), OP(pivot_root), OP(detach),
	OP(target), OP(check_null), OP(mask), OP(readonly), OP(setsid), OP(unshare), OP(hostname),
	OP(keyring), OP(prctl), OP(redirect), OP(loopback), OP(drop_bounding), OP(groups),
	OP(identity), OP(capabilities), OP(seccomp), OP(default_signals), OP(close_range), OP(env),
	OP(exec), OP(end),
};

static void fail(const char *what, const char *object)
{
	dprintf(complaint_fd, "limit: %s %s: %s\n", what, object, strerror(errno));
	_exit(1);
}

static void run_script(int first, int last)
{
	for (position = first; position < last; position++) {
		struct operation *operation = &script[position];
		if (operation->run(operation->field) < 0)
			fail(operation->field[0], operation->field[1] ? operation->field[1] : "");
	}
}

static char *load(const char *path, size_t *size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		fail("open", path);
	char *data = calloc(1, status.st_size + 1);
	if (read(fd, data, status.st_size) != status.st_size)
		fail("read", path);
	close(fd);
	*size = status.st_size;
	return data;
}

static void parse_line(char *line)
{
	struct operation *operation = &script[script_length++];
	int count = 0;
	while (line && count < MAX_FIELDS - 1)
		operation->field[count++] = strsep(&line, "\t");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i].name, operation->field[0]) == 0)
			operation->run = table[i].run;
	errno = EINVAL;
	if (!operation->run)
		fail("unknown operation", operation->field[0]);
}

static long now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t size;
	char line[64];
	if (argc != 3)
		return 64;
	char *text = load(argv[1], &size);
	while (text && *text && script_length < MAX_OPERATIONS)
		parse_line(strsep(&text, "\n"));
	filter.filter = (struct sock_filter *)load(argv[2], &size);
	filter.len = size / sizeof(struct sock_filter);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	while (fgets(line, sizeof line, stdin)) {
		for (int left = atoi(line); left > 0; left--) {
			long begin = now_ns();
			trees = has_ended = 0;
			run_script(0, script_length);
			printf("%ld\n", now_ns() - begin);
		}
		fflush(stdout);
	}
	return 0;
}
