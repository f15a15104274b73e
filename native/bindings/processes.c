/* Processes: pidfds, waiting, limits, prctl, keyrings, poll. */
#define _GNU_SOURCE
#include "bindings.h"
#include "numbers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_SLOTS 64

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int seatrial_pidfd_open(int pid, unsigned int flags)
{
    return result_of(syscall(SYS_pidfd_open, pid, flags));
}

int seatrial_pidfd_send_signal(int pidfd, int signal)
{
    return result_of(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int seatrial_pidfd_getfd(int pidfd, int fd)
{
    return result_of(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

int seatrial_waitid(int idtype, int id, int options, long *result)
{
    siginfo_t info;
    struct rusage usage;
    int error;

    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    /* No retry on EINTR: Python runs its signal handlers first. */
    error = result_of(syscall(SYS_waitid, idtype, id, &info, options, &usage));
    result[0] = info.si_pid;
    result[1] = info.si_code;
    result[2] = info.si_status;
    result[3] = usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec;
    result[4] = usage.ru_stime.tv_sec * 1000000L + usage.ru_stime.tv_usec;
    result[5] = usage.ru_maxrss;
    return error;
}

int seatrial_prlimit(int pid, int resource, const uint64_t *set, uint64_t *previous)
{
    return result_of(syscall(SYS_prlimit64, pid, resource, set, previous));
}

int seatrial_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return result_of(prctl(option, a, b, c, d));
}

long seatrial_keyctl(int command, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
    long value = syscall(SYS_keyctl, command, a, b, c, d);
    return value < 0 ? -errno : value;
}

long seatrial_syscall(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f)
{
    long value = syscall(number, a, b, c, d, e, f);
    return value == -1 ? -errno : value;
}

int seatrial_poll(const int *fds, const short *events, short *revents, size_t count, int milliseconds)
{
    struct pollfd polled[POLL_SLOTS];
    int ready;

    if (count > POLL_SLOTS)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = events[i]};
    ready = result_of(poll(polled, count, milliseconds));
    for (size_t i = 0; i < count; i++)
        revents[i] = ready < 0 ? 0 : polled[i].revents;
    return ready;
}
