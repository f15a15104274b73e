/* inotify(7): Python's standard library has no face of it. */
#define _GNU_SOURCE
#include "bindings.h"

#include <errno.h>
#include <sys/inotify.h>

int seatrial_inotify_init(void)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

int seatrial_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    int watch = inotify_add_watch(fd, path, mask);

    return watch < 0 ? -errno : watch;
}
