/* Mounts and namespaces.  The new mount API is Linux 5.2, mount_setattr 5.12; both are called by number. */
#define _GNU_SOURCE
#include "bindings.h"
#include "numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

struct mount_attributes { /* struct mount_attr of 5.12; <sys/mount.h> and <linux/mount.h> disagree about who defines it */
    uint64_t set, clear, propagation, userns;
};

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int seatrial_mount(const char *source, const char *target, const char *fstype, unsigned long flags, const char *data)
{
    return result_of(mount(source, target, fstype, flags, data));
}

int seatrial_umount2(const char *target, int flags)
{
    return result_of(umount2(target, flags));
}

int seatrial_open_tree(int dirfd, const char *path, unsigned int flags)
{
    return result_of(syscall(SYS_open_tree, dirfd, path, flags | O_CLOEXEC));
}

int seatrial_move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags)
{
    return result_of(syscall(SYS_move_mount, from_dirfd, from_path, to_dirfd, to_path, flags));
}

int seatrial_fsopen(const char *fstype, unsigned int flags)
{
    return result_of(syscall(SYS_fsopen, fstype, flags | 1 /* FSOPEN_CLOEXEC */));
}

int seatrial_fsconfig(int fd, unsigned int command, const char *key, const char *value, int aux)
{
    return result_of(syscall(SYS_fsconfig, fd, command, key, value, aux));
}

int seatrial_fsmount(int fd, unsigned int flags, unsigned int attributes)
{
    return result_of(syscall(SYS_fsmount, fd, flags | 1 /* FSMOUNT_CLOEXEC */, attributes));
}

int seatrial_mount_setattr(int dirfd, const char *path, unsigned int flags, uint64_t set, uint64_t clear,
                           uint64_t propagation, uint64_t userns)
{
    struct mount_attributes attributes = {set, clear, propagation, userns};

    return result_of(syscall(SYS_mount_setattr, dirfd, path, flags, &attributes, sizeof attributes));
}

int seatrial_setns(int fd, int type)
{
    return result_of(setns(fd, type));
}

int seatrial_unshare(int flags)
{
    return result_of(unshare(flags));
}
