/* The container's terminal, from its own devpts: the master goes to the parent, the slave becomes stdio.
 *
 * Both ends are reached through descriptors only: /dev/pts/N is never opened by name where TIOCGPTPEER exists (Linux
 * 4.13), for a name in an image can be a symlink (CVE-2025-52565).
 */
#include "executor.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "message.h"
#include "mounts.h"
#include "paths.h"
#include "text.h"

#define DEVPTS_SUPER_MAGIC 0x1cd1
#define PTMX_INODE 2
#define PTY_SLAVE_MAJOR 136

static bool on_devpts(int fd, struct stat *st)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == DEVPTS_SUPER_MAGIC && fstat(fd, st) == 0 && S_ISCHR(st->st_mode);
}

static int open_master(struct machine *m)
{
    static const struct lookup look = {.flags = O_PATH, .no_symlinks = true};
    static const struct lookup open = {.flags = O_RDWR | O_NOCTTY | O_NOFOLLOW, .no_symlinks = true};
    struct stat st;
    int unlock = 0;
    /* Looked at before it is opened: opening an image's device node has effects of its own. */
    int with_close found = path_open(m, "/dev/pts/ptmx", &look);
    if (found < 0)
        return found;
    if (!on_devpts(found, &st) || st.st_ino != PTMX_INODE || st.st_rdev != makedev(5, 2)) {
        explain(m, "/dev/pts/ptmx is not a devpts's", NULL);
        return -ENODEV;
    }
    int with_close master = path_open(m, "/dev/pts/ptmx", &open);
    if (master < 0)
        return master;
    if (!on_devpts(master, &st) || st.st_rdev != makedev(5, 2))
        return -ENODEV;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return -errno;
    return keep_open(&master);
}

static int open_slave(struct machine *m, int master)
{
    static const struct lookup how = {.flags = O_RDWR | O_NOCTTY | O_NOFOLLOW, .no_symlinks = true};
    struct stat st;
    int with_close slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 && (errno == EINVAL || errno == ENOTTY)) {
        char path[32] = "/dev/pts/";
        struct text t = {.at = path, .size = sizeof(path), .used = 9};
        unsigned number;
        if (ioctl(master, TIOCGPTN, &number) < 0)
            return -errno;
        text_add_number(&t, number);
        slave = path_open(m, path, &how);
        if (slave < 0)
            return slave;
    }
    if (slave < 0)
        return -errno;
    if (!on_devpts(slave, &st) || major(st.st_rdev) < PTY_SLAVE_MAJOR || major(st.st_rdev) >= PTY_SLAVE_MAJOR + 8) {
        explain(m, "the slave is not a pty", NULL);
        return -ENODEV;
    }
    return keep_open(&slave);
}

static int mount_console(struct machine *m, int slave)
{
    static const struct lookup how = {
        .flags = O_PATH, .no_symlinks = true, .missing = MISSING_FILE, .mode = 0666,
    };
    int with_close target = path_open(m, "/dev/console", &how);
    if (target < 0)
        return target;
    return bind_descriptor(m, slave, "/dev/console");
}

int op_console(struct machine *m, const struct op_console *a)
{
    uint32_t uid = a->uid;
    if (number_found(m, m->uid, &uid) < 0)
        return -EINVAL;
    int with_close master = open_master(m);
    if (master < 0)
        return master;
    int with_close slave = open_slave(m, master);
    if (slave < 0)
        return slave;
    if (a->width || a->height) {
        struct winsize size = {.ws_row = (unsigned short)a->height, .ws_col = (unsigned short)a->width};
        if (ioctl(slave, TIOCSWINSZ, &size) < 0)
            return -errno;
    }
    if (fchown(slave, uid, (gid_t)-1) < 0 && errno != EPERM)
        return -errno;
    if (a->mount) {
        int r = mount_console(m, slave);
        if (r < 0)
            return r;
    }
    int r = message_send(m, MESSAGE_CONSOLE, 0, 0, NULL, master);
    if (r < 0)
        return r;
    if (ioctl(slave, TIOCSCTTY, 0) < 0)
        return -errno;
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(slave, fd) < 0)
            return -errno;
    if (slave <= 2)
        slave = -1;
    return 0;
}
