/* tmpcopyup: a tmpfs that starts with the content of the directory that it covers. */
#include "executor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "attach.h"
#include "mounts.h"
#include "paths.h"

#define DEPTH_MAX 256

static int copy_directory(struct machine *m, int from, int to, int depth);

static int copy_file(int from, int to, const char *name, const struct stat *st)
{
    struct stat now;
    int with_close in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (in < 0 || fstat(in, &now) < 0)
        return -errno;
    if (!S_ISREG(now.st_mode) || now.st_ino != st->st_ino)
        return -EXDEV;
    int with_close out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return -errno;
    for (;;) {
        ssize_t n = sendfile(out, in, NULL, 1 << 20);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
    }
}

static int copy_symlink(int from, int to, const char *name)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return symlinkat(text, to, name) < 0 ? -errno : 0;
}

static int copy_subdirectory(struct machine *m, int from, int to, const char *name, int depth)
{
    int with_close in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0 || mkdirat(to, name, 0700) < 0)
        return -errno;
    int with_close out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out < 0 ? -errno : copy_directory(m, in, out, depth + 1);
}

static int copy_entry(struct machine *m, int from, int to, const char *name, int depth)
{
    struct stat st;
    int r;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        r = copy_file(from, to, name, &st);
        break;
    case S_IFDIR:
        r = copy_subdirectory(m, from, to, name, depth);
        break;
    case S_IFLNK:
        r = copy_symlink(from, to, name);
        break;
    case S_IFSOCK:
        return 0; /* nobody listens on a copy */
    default:
        r = mknodat(to, name, st.st_mode, st.st_rdev) < 0 ? -errno : 0;
    }
    if (r == 0 && fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    /* Nobody else knows this filesystem yet, so a name in it is what it was a moment ago. */
    if (r == 0 && !S_ISLNK(st.st_mode) && fchmodat(to, name, st.st_mode & 07777, 0) < 0)
        r = -errno;
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (r == 0 && utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    return r;
}

static int copy_directory(struct machine *m, int from, int to, int depth)
{
    if (depth > DEPTH_MAX)
        return -ELOOP;
    int again = fcntl(from, F_DUPFD_CLOEXEC, 3);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    if (!list) {
        int error = errno;
        close_descriptor(&again);
        return -error;
    }
    int r = 0;
    while (r == 0) {
        errno = 0;
        struct dirent *e = readdir(list);
        if (!e) {
            r = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        r = copy_entry(m, from, to, e->d_name, depth);
        if (r < 0 && !m->detail[0])
            explain(m, "copying ", e->d_name, NULL);
    }
    closedir(list);
    return r;
}

static int fill(struct machine *m, int from, int to, const char *data)
{
    struct stat st;
    int r = copy_directory(m, from, to, 0);
    if (r < 0 || fstat(from, &st) < 0)
        return r < 0 ? r : -errno;
    if (strstr(data, "uid=") || strstr(data, "gid="))
        return 0;
    mode_t mode = st.st_mode & 07777;
    return fchown(to, st.st_uid, st.st_gid) < 0 || (!strstr(data, "mode=") && fchmod(to, mode) < 0) ? -errno : 0;
}

int op_copy_up(struct machine *m, const struct op_copy_up *a)
{
    static const struct lookup read_only = {.flags = O_RDONLY | O_DIRECTORY};
    char data[8192];
    bool created;
    if (a->flags & OTHER_CALLS || a->flags > UINT32_MAX)
        return -EINVAL;
    int with_close target = target_open(m, a->target, false, &created);
    if (target < 0)
        return target;
    int r = target_check(m, target, CONTENT_OTHER);
    if (r == 0)
        r = tmpfs_data(target, a->data, data, sizeof(data));
    if (r < 0)
        return r;
    int with_close from = path_open(m, a->target, &read_only);
    if (from < 0)
        return from;
    /* Filled before anybody can see it; where mount(2) has to do, right after. A read-only one is made so at the end. */
    struct mount_request request = {"tmpfs", "tmpfs", a->flags & ~(uint64_t)MS_RDONLY, created ? a->data : data};
    r = mount_on(m, a->target, target, &request);
    if (r < 0)
        return r;
    int with_close to = path_open(m, a->target, &read_only);
    if (to < 0)
        return to;
    r = fill(m, from, to, a->data);
    if (r == 0 && a->flags & MS_RDONLY)
        r = mount_legacy(m, NULL, to, NULL, MS_REMOUNT | MS_BIND | a->flags, NULL);
    return r;
}
