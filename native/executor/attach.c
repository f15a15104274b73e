#include "attach.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "paths.h"
#include "proc.h"
#include "text.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define OPTION_MAX 255 /* fsconfig(2) takes keys and values up to here */

static const struct {
    uint64_t flag;
    const char *option;
} superblock_options[] = {{MS_RDONLY, "ro"}, {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_LAZYTIME, "lazytime"}};

uint64_t mount_id(int fd)
{
    struct statx st = {0};
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
        return 0;
    return st.stx_mnt_id;
}

uint64_t mount_attributes(uint64_t flags)
{
    uint64_t attributes = 0;
    if (flags & MS_RDONLY)
        attributes |= MOUNT_ATTR_RDONLY;
    if (flags & MS_NOSUID)
        attributes |= MOUNT_ATTR_NOSUID;
    if (flags & MS_NODEV)
        attributes |= MOUNT_ATTR_NODEV;
    if (flags & MS_NOEXEC)
        attributes |= MOUNT_ATTR_NOEXEC;
    if (flags & MS_NODIRATIME)
        attributes |= MOUNT_ATTR_NODIRATIME;
    if (flags & MS_NOSYMFOLLOW)
        attributes |= MOUNT_ATTR_NOSYMFOLLOW;
    /* As do_mount(): relatime is the default and strictatime beats noatime. */
    if (flags & MS_STRICTATIME)
        attributes |= MOUNT_ATTR_STRICTATIME;
    else if (flags & MS_NOATIME)
        attributes |= MOUNT_ATTR_NOATIME;
    return attributes;
}

/* EPERM is also what a seccomp profile from before these calls answers; mount(2) repeats a real refusal. */
static int no_mount_api(struct machine *m)
{
    if (errno != ENOSYS && errno != EPERM)
        return -errno;
    if (errno == ENOSYS)
        m->no_mount_api = true;
    return -ENOSYS;
}

int tree_clone(struct machine *m, int at, const char *path, bool recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0);
    if (m->no_mount_api)
        return -ENOSYS;
    int tree = (int)syscall(SYS_open_tree, at, path, flags);
    return tree < 0 ? no_mount_api(m) : tree;
}

int tree_attach(int tree, int target)
{
    if (syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* The filesystem's own words, one "e reason" at a time; the first is the cause. */
static void explain_filesystem(struct machine *m, int fs)
{
    char log[512];
    int error = errno;
    ssize_t n = read(fs, log, sizeof(log) - 1);
    if (n > 2 && log[0] == 'e') {
        log[n] = '\0';
        log[strcspn(log, "\n")] = '\0';
        explain(m, log + 2, NULL);
    }
    errno = error;
}

/* mount(2) hands `data` to the filesystem, whose own parser may treat quotes and backslashes; splitting at commas is
 * right for everything else. */
static bool options_are_plain(const char *data)
{
    if (strpbrk(data, "\\\"'"))
        return false;
    for (; *data; data += *data == ',') {
        size_t length = strcspn(data, ",");
        if (length > OPTION_MAX)
            return false;
        data += length;
    }
    return true;
}

static int set_options(int fs, const char *data)
{
    while (*data) {
        char option[OPTION_MAX + 1];
        size_t length = strcspn(data, ",");
        memcpy(option, data, length);
        option[length] = '\0';
        data += length + (data[length] == ',');
        if (!length)
            continue;
        char *value = strchr(option, '=');
        if (value && value != option)
            *value++ = '\0';
        else
            value = NULL;
        if (syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0) < 0)
            return -errno;
    }
    return 0;
}

static int configure(int fs, const char *source, uint64_t flags, const char *data)
{
    if (*source && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(superblock_options) / sizeof(superblock_options[0]); i++)
        if (flags & superblock_options[i].flag &&
            syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, superblock_options[i].option, NULL, 0) < 0)
            return -errno;
    int r = set_options(fs, data);
    if (r == 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        r = -errno;
    return r;
}

int filesystem_new(struct machine *m, const char *type, const char *source, uint64_t flags, const char *data)
{
    /* Flags without a counterpart in fsconfig(2). */
    if (m->no_mount_api || flags & (MS_MANDLOCK | MS_SILENT | MS_I_VERSION) || !options_are_plain(data) ||
        strlen(source) > OPTION_MAX)
        return -ENOSYS;
    int with_close fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return no_mount_api(m);
    int r = configure(fs, source, flags, data);
    if (r < 0) {
        explain_filesystem(m, fs);
        return r;
    }
    int tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, mount_attributes(flags));
    if (tree < 0) {
        r = -errno;
        explain_filesystem(m, fs);
        return r;
    }
    return tree;
}

int descriptor_path(struct machine *m, int fd, char path[32])
{
    struct text t = {.at = path, .size = 32};
    int with_close proc = proc_open(m);
    if (proc < 0)
        return proc;
    path[0] = '\0';
    text_add(&t, "/proc/self/fd/");
    text_add_number(&t, fd);
    return 0;
}

int mount_legacy(struct machine *m, const char *source, int target, const char *type, uint64_t flags, const char *data)
{
    char path[32];
    int r = descriptor_path(m, target, path);
    if (r == 0)
        return mount(source, path, type, (unsigned long)flags, data) < 0 ? -errno : 0;

    /* No procfs to name the descriptor with (a container without /proc): a directory can still be our ".". */
    int with_close back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (back < 0 || fchdir(target) < 0)
        return r;
    r = mount(source, ".", type, (unsigned long)flags, data) < 0 ? -errno : 0;
    if (fchdir(back) < 0 && r == 0)
        r = -errno;
    return r;
}
