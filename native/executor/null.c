#include "null.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "paths.h"

bool is_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

int null_device(struct machine *m)
{
    static const struct lookup how = {.flags = O_PATH, .no_follow = true};
    struct stat st;
    if (m->null >= 0)
        return m->null;
    int with_close fd = path_open(m, "/dev/null", &how);
    if (fd < 0) {
        explain(m, "/dev/null", NULL);
        return fd;
    }
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!is_null(&st)) {
        explain(m, "/dev/null is not the null device", NULL);
        return -ENODEV;
    }
    m->null = keep_open(&fd);
    return m->null;
}

/* Stdio that is the host's null device would keep a host filesystem in use, and its inode in the container's hands. */
int op_null_stdio(struct machine *m, const struct op_null_stdio *a)
{
    static const struct lookup how = {.flags = O_RDWR | O_NOFOLLOW | O_NOCTTY};
    struct stat st;
    (void)a;
    int r = null_device(m);
    if (r < 0)
        return r;
    int with_close null = path_open(m, "/dev/null", &how);
    if (null < 0)
        return null;
    if (fstat(null, &st) < 0)
        return -errno;
    if (!is_null(&st))
        return -ENODEV;
    for (int fd = 0; fd <= 2; fd++)
        if (fstat(fd, &st) == 0 && is_null(&st) && dup2(null, fd) < 0)
            return -errno;
    return 0;
}
