/* The program gets 0..keep-1 and nothing else, whatever the runtime had open. */
#include "descriptors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "operations.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

struct entry { /* linux_dirent64 of getdents64(2) */
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static void mark(unsigned fd)
{
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

/* The open descriptors as /proc/self/fd lists them; false when it cannot be read to its end. */
static bool mark_listed(unsigned first)
{
    _Alignas(struct entry) char buffer[4096];
    int with_close list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list < 0)
        return false;
    for (;;) {
        long n = syscall(SYS_getdents64, list, buffer, sizeof(buffer));
        if (n <= 0)
            return n == 0;
        for (long at = 0; at < n;) {
            struct entry *e = (struct entry *)(buffer + at);
            unsigned long fd = strtoul(e->name, NULL, 10);
            if (e->name[0] != '.' && fd >= first)
                mark((unsigned)fd);
            at += e->length;
        }
    }
}

int descriptors_cloexec(unsigned first)
{
    struct rlimit limit;
    if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return 0;
    if (mark_listed(first))
        return 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    /* Descriptors above a lowered soft limit exist only if the hard one let them. */
    unsigned end = limit.rlim_max > 1u << 20 ? 1u << 20 : (unsigned)limit.rlim_max;
    for (unsigned fd = first; fd < end; fd++)
        mark(fd);
    return 0;
}

int op_close_fds(struct machine *m, const struct op_close_fds *a)
{
    (void)m;
    return descriptors_cloexec(a->keep);
}
