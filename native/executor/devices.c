/* Directories, device nodes and symlinks inside the root. */
#include "executor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "attach.h"
#include "paths.h"

int op_mkdir(struct machine *m, const struct op_mkdir *a)
{
    struct lookup how = {
        .flags = O_PATH | O_DIRECTORY, .missing = MISSING_DIRECTORY, .mode = (mode_t)a->mode & 07777,
    };
    int with_close directory = path_open(m, a->target, &how);
    return directory < 0 ? directory : 0;
}

/* mknod(2) honours the umask (0 here) but also a default ACL of the directory: the mode is looked at, and set if need be. */
static int finish_node(struct machine *m, int directory, const char *name, const struct op_mknod *a)
{
    struct stat st;
    char path[32];
    mode_t mode = (mode_t)a->mode;
    int with_close node = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0 || fstat(node, &st) < 0)
        return -errno;
    if ((st.st_mode & S_IFMT) != (mode & S_IFMT) || (!S_ISFIFO(mode) && st.st_rdev != (dev_t)a->device)) {
        explain(m, "the new node has been exchanged", NULL);
        return -EXDEV;
    }
    if ((st.st_uid != a->uid || st.st_gid != a->gid) && fchownat(node, "", a->uid, a->gid, AT_EMPTY_PATH) < 0)
        return -errno;
    if (fstat(node, &st) < 0) /* chown(2) clears the set-id bits */
        return -errno;
    if ((st.st_mode & 07777) == (mode & 07777))
        return 0;
    int r = descriptor_path(m, node, path);
    return r < 0 ? r : chmod(path, mode & 07777) < 0 ? -errno : 0;
}

int op_mknod(struct machine *m, const struct op_mknod *a)
{
    char name[NAME_MAX + 1];
    struct stat st;
    mode_t mode = (mode_t)a->mode;
    if (!S_ISCHR(mode) && !S_ISBLK(mode) && !S_ISFIFO(mode))
        return -EINVAL;
    int with_close directory = path_parent(m, a->target, name);
    if (directory < 0)
        return directory;
    mode_t umask_before = umask(0);
    int r = mknodat(directory, name, mode, (dev_t)a->device) < 0 ? -errno : 0;
    umask(umask_before);
    if (r == 0)
        return finish_node(m, directory, name, a);
    if (r != -EEXIST)
        return r;
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    bool same = (st.st_mode & S_IFMT) == (mode & S_IFMT) && (S_ISFIFO(mode) || st.st_rdev == (dev_t)a->device);
    return same ? 0 : -EEXIST;
}

int op_symlink(struct machine *m, const struct op_symlink *a)
{
    char name[NAME_MAX + 1];
    int with_close directory = path_parent(m, a->target, name);
    if (directory < 0)
        return directory;
    for (int tries = 0;; tries++) {
        if (symlinkat(a->text, directory, name) == 0)
            return 0;
        if (errno != EEXIST || tries == 2)
            return -errno;
        if (!a->replace)
            return 0;
        if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
            return -errno;
    }
}
