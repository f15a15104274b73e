/* The rootfs: opening it, what the host sees of its mounts, and entering it. */
#include "executor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "attach.h"
#include "paths.h"

int op_propagation(struct machine *m, const struct op_propagation *a)
{
    (void)m;
    return mount(NULL, a->path, NULL, (unsigned long)a->flags, NULL) < 0 ? -errno : 0;
}

int op_parent_private(struct machine *m, const struct op_parent_private *a)
{
    char path[PATH_MAX];
    size_t length = strlen(a->path);
    (void)m;
    if (length >= sizeof(path) || a->path[0] != '/')
        return -EINVAL;
    memcpy(path, a->path, length + 1);
    /* EINVAL: not a mount point, so the mount that holds it begins higher up. */
    while (mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0) {
        if (errno != EINVAL || strcmp(path, "/") == 0)
            return -errno;
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
    }
    return 0;
}

int op_open_root(struct machine *m, const struct op_open_root *a)
{
    char name[32];
    if (m->entered)
        return -EINVAL;
    if (a->bind && mount(a->path, a->path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    int with_close root = open(a->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    int r = descriptor_path(m, root, name);
    if (r < 0)
        return r;
    ssize_t n = readlink(name, m->root_path, sizeof(m->root_path) - 1);
    if (n < 0)
        return -errno;
    m->root_path[n] = '\0';
    close_descriptor(&m->root);
    m->root = keep_open(&root);
    return 0;
}

/* "/" is the container's now. */
static int entered(struct machine *m)
{
    close_descriptor(&m->root);
    m->root = -1;
    if (chdir("/") < 0)
        return -errno;
    return root_descriptor(m) < 0 ? -errno : 0;
}

static int ready_to_enter(struct machine *m)
{
    if (m->entered || m->root < 0)
        return -EINVAL;
    return fchdir(m->root) < 0 ? -errno : 0;
}

int op_pivot_root(struct machine *m, const struct op_pivot_root *a)
{
    (void)a;
    int with_close old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0)
        return -errno;
    int r = ready_to_enter(m);
    if (r < 0)
        return r;
    /* pivot_root(2): with both arguments "." the old root ends up over the new one, and needs no directory in it. */
    if (syscall(SYS_pivot_root, ".", ".") < 0 || fchdir(old) < 0)
        return -errno;
    /* The detaching must not reach the host; only the old tree is changed (youki issue 3621). */
    if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0)
        return -errno;
    return entered(m);
}

int op_chroot(struct machine *m, const struct op_chroot *a)
{
    (void)a;
    int r = ready_to_enter(m);
    if (r < 0)
        return r;
    return chroot(".") < 0 ? -errno : entered(m);
}

int op_enter_root(struct machine *m, const struct op_enter_root *a)
{
    if (m->entered)
        return -EINVAL;
    if (fchdir((int)a->fd) < 0 || chroot(".") < 0)
        return -errno;
    close((int)a->fd);
    return entered(m);
}

/* A mount point of mountinfo, where blanks, tabs, newlines and backslashes are octal escapes. */
static void unescape(char *text)
{
    char *out = text;
    for (; *text; text++, out++) {
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *out = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else {
            *out = *text;
        }
    }
    *out = '\0';
}

/* Without pivot_root the host's mounts stay reachable for whoever escapes the chroot: a full procfs or sysfs among them
 * would undo the masks, so none stays. */
static int cover_host_mount(struct machine *m, char *line)
{
    char *field[6], *rest = line;
    for (int i = 0; i < 6; i++) {
        field[i] = strsep(&rest, " ");
        if (!rest)
            return -EINVAL;
    }
    char *type = strstr(rest, "- ");
    if (!type)
        return -EINVAL;
    type += 2;
    bool full = strcmp(field[3], "/") == 0 && (strncmp(type, "proc ", 5) == 0 || strncmp(type, "sysfs ", 6) == 0);
    char *point = field[4];
    unescape(point);
    size_t root = strlen(m->root_path);
    if (!full || (strncmp(point, m->root_path, root) == 0 && (point[root] == '/' || point[root] == '\0')))
        return 0;
    if (mount(NULL, point, NULL, MS_SLAVE | MS_REC, NULL) == 0 && umount2(point, MNT_DETACH) == 0)
        return 0;
    if (errno == ENOENT || errno == ENOTDIR)
        return 0; /* beneath another mount: nobody can reach it */
    if (errno != EINVAL && errno != EPERM)
        return -errno;
    /* Locked by a more privileged namespace. */
    return mount("tmpfs", point, "tmpfs", MS_RDONLY, "size=0,nr_inodes=2,mode=0") < 0 ? -errno : 0;
}

static int read_file(const char *path, char **content)
{
    size_t size = 0, room = 0;
    char *buffer = NULL;
    int with_close fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (;;) {
        if (room - size < 4096) {
            char *larger = realloc(buffer, room = room * 2 + 65536);
            if (!larger) {
                free(buffer);
                return -ENOMEM;
            }
            buffer = larger;
        }
        ssize_t n = read(fd, buffer + size, room - size - 1);
        if (n < 0) {
            n = -errno;
            free(buffer);
            return (int)n;
        }
        size += (size_t)n;
        if (n == 0)
            break;
    }
    buffer[size] = '\0';
    *content = buffer;
    return 0;
}

int op_move_root(struct machine *m, const struct op_move_root *a)
{
    char *mounts = NULL, *rest;
    (void)a;
    if (m->entered || m->root < 0)
        return -EINVAL;
    int r = read_file("/proc/self/mountinfo", &mounts);
    rest = mounts;
    while (r == 0 && rest && *rest)
        r = cover_host_mount(m, strsep(&rest, "\n"));
    free(mounts);
    if (r == 0)
        r = ready_to_enter(m);
    if (r < 0)
        return r;
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
        return -errno;
    return entered(m);
}
