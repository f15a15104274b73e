#include "proc.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "paths.h"
#include "text.h"

#define PROC_SUPER_MAGIC 0x9fa0
#define PROC_ROOT_INODE 1

bool proc_is(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

int proc_open(struct machine *m)
{
    static const struct lookup how = {.flags = O_PATH | O_DIRECTORY, .no_symlinks = true};
    struct stat st;
    int with_close fd = -1;
    if (m->entered) {
        fd = path_open(m, "/proc", &how);
        if (fd < 0)
            return fd;
    } else {
        fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return -errno;
    }
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!proc_is(fd) || st.st_ino != PROC_ROOT_INODE) {
        explain(m, "/proc is not a procfs", NULL);
        return -EXDEV;
    }
    return keep_open(&fd);
}

/* A file beneath a verified procfs, by the same mount all the way: nothing is mounted over any part of the path. */
static int open_beneath(int proc, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long r = syscall(SYS_openat2, proc, path, &how, sizeof(how));
    if (r >= 0)
        return (int)r;
    if (errno != ENOSYS && errno != EPERM)
        return -errno;

    struct stat top, st;
    int with_close at = -1;
    if (fstat(proc, &top) < 0)
        return -errno;
    for (const char *end; *path; path = *end ? end + 1 : end) {
        char name[NAME_MAX + 1];
        end = strchrnul(path, '/');
        size_t length = (size_t)(end - path);
        if (length == 0 || length > NAME_MAX)
            return -ENOENT;
        memcpy(name, path, length);
        name[length] = '\0';
        int next = openat(at < 0 ? proc : at, name, O_CLOEXEC | O_NOFOLLOW | (*end ? O_PATH | O_DIRECTORY : flags));
        if (next < 0)
            return -errno;
        close_descriptor(&at);
        at = next;
        if (fstat(at, &st) < 0)
            return -errno;
        if (st.st_dev != top.st_dev || !proc_is(at))
            return -EXDEV;
    }
    return keep_open(&at);
}

static int write_beneath(int proc, const char *path, const char *value)
{
    int with_close fd = open_beneath(proc, path, O_WRONLY);
    if (fd < 0)
        return fd;
    size_t size = strlen(value);
    /* One write: these files take each write as a value of its own. */
    ssize_t n = write(fd, value, size);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EIO;
}

/* The path of /proc/self/NAME without the symlink, whose number is that of the procfs's pid namespace, not of ours. */
static int self_path(int proc, const char *name, char *path, size_t size)
{
    char link[24];
    struct text t = {.at = path, .size = size};
    ssize_t n = readlinkat(proc, "self", link, sizeof(link) - 1);
    if (n < 0)
        return -errno;
    link[n] = '\0';
    path[0] = '\0';
    text_add(&t, link);
    text_add(&t, "/");
    text_add(&t, name);
    return 0;
}

int proc_write_self(struct machine *m, const char *name, const char *value)
{
    char path[64];
    int with_close proc = proc_open(m);
    if (proc < 0)
        return proc;
    int r = self_path(proc, name, path, sizeof(path));
    return r < 0 ? r : write_beneath(proc, path, value);
}

int proc_read_self(struct machine *m, const char *name, char *buffer, size_t size)
{
    char path[64];
    int with_close proc = proc_open(m);
    if (proc < 0)
        return proc;
    int r = self_path(proc, name, path, sizeof(path));
    if (r < 0)
        return r;
    int with_close fd = open_beneath(proc, path, O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t n = read(fd, buffer, size - 1);
    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    return (int)n;
}

/* "net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding": the first separator says which one it is, and the other
 * one is then a character of a name, as in sysctl(8). */
static int sysctl_path(const char *key, char path[PATH_MAX])
{
    size_t n = strlen(key), separator = strcspn(key, "./");
    bool dots = key[separator] == '.';
    if (n == 0 || n + 5 > PATH_MAX || key[0] == '/' || key[0] == '.')
        return -EINVAL;
    memcpy(path, "sys/", 4);
    for (size_t i = 0; i <= n; i++) {
        char c = key[i];
        path[4 + i] = !dots ? c : c == '.' ? '/' : c == '/' ? '.' : c;
    }
    for (const char *part = path + 4, *end;; part = end + 1) {
        end = strchrnul(part, '/');
        size_t length = (size_t)(end - part);
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return -EINVAL;
        if (!*end)
            return 0;
    }
}

int op_sysctl(struct machine *m, const struct op_sysctl *a)
{
    char path[PATH_MAX];
    int r = sysctl_path(a->key, path);
    if (r < 0)
        return r;
    int with_close proc = proc_open(m);
    if (proc < 0)
        return proc;
    return write_beneath(proc, path, a->value);
}

int op_oom_score_adj(struct machine *m, const struct op_oom_score_adj *a)
{
    char value[24] = "";
    struct text t = TEXT(value);
    text_add_number(&t, a->value);
    return proc_write_self(m, "oom_score_adj", value);
}
