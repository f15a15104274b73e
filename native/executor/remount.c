/* Change mounts that are there: remount, mount_attr, propagate, readonly. */
#include "executor.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "attach.h"
#include "paths.h"

#ifndef MOUNT_ATTR__ATIME
#define MOUNT_ATTR__ATIME 0x00000070
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif
#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)
#define BIND_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW | ATIME_FLAGS)
#define BUSY_TRIES 5

struct attributes { /* struct mount_attr of mount_setattr(2) */
    uint64_t set, clear, propagation, userns;
};

static int set_attributes(int fd, unsigned flags, struct attributes *a)
{
    return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, a, sizeof(*a)) < 0 ? -errno : 0;
}

/* Exactly these flags; the atime class stays when none is named, as mount(2) does for MS_REMOUNT. */
static int set_bind_flags(struct machine *m, int fd, uint64_t flags)
{
    struct attributes a = {
        .set = mount_attributes(flags),
        .clear = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    };
    if (flags & (ATIME_FLAGS | MS_NODIRATIME))
        a.clear |= MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
    int r = set_attributes(fd, 0, &a);
    if (r != -ENOSYS && r != -EPERM)
        return r;
    /* Linux before 5.12; EPERM also from a seccomp profile that does not know the call. */
    return mount_legacy(m, NULL, fd, NULL, MS_REMOUNT | MS_BIND | (flags & BIND_FLAGS), NULL);
}

/* Flags that the mount has now. */
static int current_flags(int fd, uint64_t *flags)
{
    static const struct {
        unsigned long statfs;
        uint64_t mount;
    } pairs[] = {
        {ST_RDONLY, MS_RDONLY},         {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},
        {ST_NOEXEC, MS_NOEXEC},         {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
        {ST_RELATIME, MS_RELATIME},     {ST_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    };
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return -errno;
    *flags = 0;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if ((unsigned long)fs.f_flags & pairs[i].statfs)
            *flags |= pairs[i].mount;
    return 0;
}

/* The mount came from a more privileged namespace: its flags may be added to, not taken away. Keep them, unless the user
 * named one to clear, or another atime class. */
static int set_keeping_locked(struct machine *m, int fd, uint64_t set, uint64_t clear, int refused)
{
    uint64_t now;
    if (current_flags(fd, &now) < 0)
        return refused;
    uint64_t atime = now & ATIME_FLAGS ? now & ATIME_FLAGS : MS_STRICTATIME;
    if (clear & now || (set & ATIME_FLAGS && (set & ATIME_FLAGS) != atime)) {
        explain(m, "a flag of the source mount is locked", NULL);
        return refused;
    }
    return set_bind_flags(m, fd, set | (now & ~(uint64_t)ATIME_FLAGS) | atime);
}

static int remount_bind(struct machine *m, int fd, uint64_t set, uint64_t clear)
{
    int r = set_bind_flags(m, fd, set);
    if (r < 0 && r != -EBUSY)
        r = set_keeping_locked(m, fd, set, clear, r);
    return r;
}

int op_remount(struct machine *m, const struct op_remount *a)
{
    static const struct lookup how = {.flags = O_PATH};
    static const struct timespec pause = {.tv_nsec = 100000000};
    const uint64_t other_calls = MS_MOVE | MS_REC | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
    uint64_t set = a->set & ~(uint64_t)(MS_REMOUNT | MS_BIND);
    if (set & other_calls || set > UINT32_MAX)
        return -EINVAL;
    int with_close target = path_open(m, a->target, &how);
    if (target < 0)
        return target;
    for (int tries = 1;; tries++) {
        int r = a->bind ? remount_bind(m, target, set, a->clear)
                        : mount_legacy(m, NULL, target, NULL, MS_REMOUNT | set, *a->data ? a->data : NULL);
        /* EBUSY: a file on it is being written, for instance by a hook's child that is about to end. */
        if (r != -EBUSY || tries == BUSY_TRIES)
            return r;
        nanosleep(&pause, NULL);
    }
}

int op_mount_attr(struct machine *m, const struct op_mount_attr *a)
{
    static const struct lookup how = {.flags = O_PATH};
    struct attributes attributes = {.set = a->set, .clear = a->clear};
    int with_close target = path_open(m, a->target, &how);
    if (target < 0)
        return target;
    return set_attributes(target, a->recursive ? AT_RECURSIVE : 0, &attributes);
}

int op_propagate(struct machine *m, const struct op_propagate *a)
{
    static const struct lookup how = {.flags = O_PATH};
    const uint64_t kinds = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
    if (!(a->flags & kinds) || a->flags & ~(kinds | MS_REC | MS_SILENT))
        return -EINVAL;
    int with_close target = path_open(m, a->target, &how);
    if (target < 0)
        return target;
    struct attributes attributes = {.propagation = a->flags & kinds};
    int r = set_attributes(target, a->flags & MS_REC ? AT_RECURSIVE : 0, &attributes);
    if (r != -ENOSYS && r != -EPERM)
        return r;
    return mount_legacy(m, NULL, target, NULL, a->flags, NULL);
}

/* A read-only copy of the tree over itself.  Only its top changes; the other flags stay, locked or not. */
static int cover_readonly(struct machine *m, int target)
{
    struct attributes attributes = {.set = MOUNT_ATTR_RDONLY};
    int with_close tree = tree_clone(m, target, "", true);
    if (tree < 0)
        return tree;
    int r = set_attributes(tree, 0, &attributes);
    if (r == -EPERM)
        r = -ENOSYS;
    return r < 0 ? r : tree_attach(tree, target);
}

int op_readonly(struct machine *m, const struct op_readonly *a)
{
    static const struct lookup how = {.flags = O_PATH};
    char source[32];
    uint64_t now;
    int with_close target = path_open(m, a->target, &how);
    if (target == -ENOENT)
        return 0;
    if (target < 0)
        return target;
    int r = cover_readonly(m, target);
    if (r != -ENOSYS)
        return r;
    r = descriptor_path(m, target, source);
    if (r == 0)
        r = mount_legacy(m, source, target, NULL, MS_BIND | MS_REC, NULL);
    if (r < 0)
        return r;
    int with_close covered = path_open(m, a->target, &how);
    if (covered < 0)
        return covered;
    r = current_flags(covered, &now);
    return r < 0 ? r : mount_legacy(m, NULL, covered, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | now, NULL);
}
