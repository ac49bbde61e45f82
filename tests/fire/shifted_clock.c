/* A wall clock that another process moves: LD_PRELOAD or /etc/ld.so.preload, for tests alone.
 *
 * CLOCK_REALTIME has no namespace (time_namespaces(7)), and the host's own is everybody's. So the
 * C library's functions of the processes under test add to it the seconds that stand in the file
 * SHIFT_FILE as a native int64_t. Monotonic and boot-time clocks stay as they are, as they do when
 * somebody sets the clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void map_shift(void) {
    int fd = open(SHIFT_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* inside a container, which does not see the file */
    void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        shift = page;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && shift != NULL)
        now->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into != NULL)
        *into = now.tv_sec;
    return now.tv_sec;
}
