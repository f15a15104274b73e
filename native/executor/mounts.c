/* mount, bind, bind_mapped, bind_inside, bind_device: put something onto a container path.
 *
 * The target is looked up once and stays a descriptor; nothing is mounted by name.  After the mount the name is looked
 * up again: when it does not lead to the new mount, somebody exchanged the path, and the container does not start.
 */
#include "executor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "attach.h"
#include "message.h"
#include "mounts.h"
#include "paths.h"
#include "proc.h"
#include "text.h"

/* What may be covered beneath /proc: files that tools like lxcfs provide, and that no runtime reads or writes. */
static const char *const proc_files[] = {
    "cpuinfo", "diskstats", "meminfo",   "stat",     "swaps", "uptime", "loadavg",
    "slabinfo", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
};

/* The path of a descriptor beneath the root.  Before the root is entered only: it asks the host's procfs. */
static int path_inside(struct machine *m, int fd, char path[PATH_MAX])
{
    char name[32], full[PATH_MAX];
    int r = descriptor_path(m, fd, name);
    if (r < 0)
        return r;
    ssize_t n = readlink(name, full, sizeof(full) - 1);
    if (n < 0)
        return -errno;
    full[n] = '\0';
    size_t root = strcmp(m->root_path, "/") == 0 ? 0 : strlen(m->root_path);
    if (strncmp(full, m->root_path, root) != 0 || (full[root] != '/' && full[root] != '\0')) {
        explain(m, "the target is outside of the root", NULL);
        return -EXDEV;
    }
    memcpy(path, full + root, (size_t)n - root + 1);
    return 0;
}

int target_check(struct machine *m, int target, enum content content)
{
    char path[PATH_MAX];
    if (m->entered)
        return 0;
    int r = path_inside(m, target, path);
    if (r < 0)
        return r;
    if (path[0] == '\0' || strcmp(path, "/") == 0) {
        explain(m, "the target is the root itself", NULL);
        return -EINVAL;
    }
    /* Label, sysctl and id files are written through /proc: it must be the kernel's (CVE-2019-16884, CVE-2025-52881). */
    if (strncmp(path, "/proc", 5) != 0 || (path[5] != '/' && path[5] != '\0'))
        return 0;
    if (path[5] == '\0') {
        if (content == CONTENT_PROCFS)
            return 0;
        explain(m, "only a procfs may be mounted on /proc", NULL);
        return -EPERM;
    }
    for (size_t i = 0; i < sizeof(proc_files) / sizeof(proc_files[0]); i++)
        if (strcmp(path + 6, proc_files[i]) == 0)
            return 0;
    explain(m, "the target is inside of /proc", NULL);
    return -EPERM;
}

int target_verify(struct machine *m, const char *path, int before, int tree)
{
    static const struct lookup how = {.flags = O_PATH};
    int with_close now = path_open(m, path, &how);
    if (now < 0)
        return now;
    uint64_t id = mount_id(now);
    if (tree >= 0 && id != 0) {
        if (id == mount_id(tree))
            return 0;
    } else if (!m->entered) {
        /* Without mount ids, or with mount(2): the same path, and something has been mounted there. */
        char was[PATH_MAX], is[PATH_MAX];
        int r = path_inside(m, before, was);
        if (r == 0)
            r = path_inside(m, now, is);
        if (r < 0)
            return r;
        if (strcmp(was, is) == 0 && (id == 0 || id != mount_id(before)))
            return 0;
    } else {
        return 0;
    }
    explain(m, "the target changed while it was mounted on", NULL);
    return -EXDEV;
}

int mount_on(struct machine *m, const char *path, int target, const struct mount_request *request)
{
    int with_close tree = filesystem_new(m, request->type, request->source, request->flags, request->data);
    int r = tree;
    if (tree >= 0)
        r = tree_attach(tree, target);
    else if (tree == -ENOSYS)
        r = mount_legacy(m, request->source, target, request->type, request->flags, request->data);
    return r < 0 ? r : target_verify(m, path, target, tree);
}

int target_open(struct machine *m, const char *path, bool no_symlinks, bool *created)
{
    struct lookup how = {.flags = O_PATH, .no_symlinks = no_symlinks, .mode = 0755};
    int target = path_open(m, path, &how);
    *created = target == -ENOENT;
    if (*created) {
        how.missing = MISSING_DIRECTORY;
        target = path_open(m, path, &how);
    }
    return target;
}

/* A tmpfs has the mode of the directory that it covers; an explicit mode= comes later in the data and wins. */
int tmpfs_data(int covered, const char *data, char *buffer, size_t size)
{
    struct stat st;
    struct text t = {.at = buffer, .size = size};
    char octal[5] = "0000";
    if (strlen(data) + sizeof("mode=0000,") > size)
        return -E2BIG;
    if (fstat(covered, &st) < 0)
        return -errno;
    for (unsigned i = 0; i < 4; i++)
        octal[i] = (char)('0' + (st.st_mode >> (9 - 3 * i) & 7));
    buffer[0] = '\0';
    text_add(&t, "mode=");
    text_add(&t, octal);
    text_add(&t, *data ? "," : "");
    text_add(&t, data);
    return 0;
}

int op_mount(struct machine *m, const struct op_mount *a)
{
    char data[8192];
    bool created;
    struct mount_request request = {a->fstype, a->source, a->flags, a->data};
    if (a->flags & OTHER_CALLS || a->flags > UINT32_MAX || a->mode > 1)
        return -EINVAL;
    /* proc and sysfs: no symlink in the path, or the image decides where they are (CVE-2019-19921, CVE-2023-27561). */
    int with_close target = target_open(m, a->target, a->mode == 1, &created);
    if (target < 0)
        return target;
    int r = target_check(m, target, strcmp(a->fstype, "proc") == 0 ? CONTENT_PROCFS : CONTENT_OTHER);
    if (r < 0)
        return r;
    if (!created && strcmp(a->fstype, "tmpfs") == 0) {
        r = tmpfs_data(target, a->data, data, sizeof(data));
        if (r < 0)
            return r;
        request.data = data;
    }
    return mount_on(m, a->target, target, &request);
}

/* A detached mount that the parent makes for the running operation, with privileges that this process has given up. */
static int tree_from_parent(struct machine *m)
{
    int r = message_send(m, MESSAGE_TREE, 0, 0, NULL, -1);
    return r < 0 ? r : message_receive_descriptor(m->channel, MESSAGE_TREE);
}

/* Bind `source` (a descriptor, or a path when `path` is not "") on the target.  `made`: its detached mount, closed here;
 * -ENOSYS: there is none, so by mount(2). */
static int bind_on(
    struct machine *m, int made, int source, const char *path, const char *target_path, bool recursive, bool device)
{
    struct stat st;
    char name[32];
    const char *from = path;
    int with_close tree = made;
    int with_close opened = -1;
    int object = *path ? tree : source;
    if (tree == -ENOSYS && *path)
        object = opened = openat(source, path, O_PATH | O_CLOEXEC);
    else if (tree < 0 && tree != -ENOSYS)
        return tree;
    if (object < 0 || fstat(object, &st) < 0)
        return -errno;
    if (device && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISFIFO(st.st_mode)) {
        explain(m, "the source is not a device", NULL);
        return -ENODEV;
    }
    struct lookup how = {
        .flags = O_PATH,
        .no_follow = device,
        .missing = S_ISDIR(st.st_mode) ? MISSING_DIRECTORY : MISSING_FILE,
        .mode = device ? 0 : S_ISDIR(st.st_mode) ? 0755 : 0644,
    };
    int with_close target = path_open(m, target_path, &how);
    if (target < 0)
        return target;
    int r = target_check(m, target, proc_is(object) ? CONTENT_PROCFS : CONTENT_OTHER);
    if (r < 0)
        return r;
    if (tree >= 0) {
        r = tree_attach(tree, target);
    } else {
        if (!*path) {
            r = descriptor_path(m, source, name);
            if (r < 0)
                return r;
            from = name;
        }
        r = mount_legacy(m, from, target, NULL, MS_BIND | (recursive ? MS_REC : 0), NULL);
    }
    return r < 0 ? r : target_verify(m, target_path, target, tree);
}

int bind_descriptor(struct machine *m, int source, const char *target)
{
    return bind_on(m, tree_clone(m, source, "", false), source, "", target, false, false);
}

int op_bind(struct machine *m, const struct op_bind *a)
{
    if (!*a->source)
        return -ENOENT;
    int tree = tree_clone(m, AT_FDCWD, a->source, a->recursive != 0);
    /* The mapped root may have no way to the source: a volume below a directory that is for the host's root only. */
    if (tree == -EACCES)
        tree = tree_from_parent(m);
    return bind_on(m, tree, AT_FDCWD, a->source, a->target, a->recursive != 0, false);
}

int op_bind_mapped(struct machine *m, const struct op_bind_mapped *a)
{
    if (!*a->source)
        return -ENOENT;
    int tree = tree_from_parent(m);
    if (tree < 0)
        return tree == -ENOSYS ? -EPROTO : tree;
    return bind_on(m, tree, AT_FDCWD, a->source, a->target, a->recursive != 0, false);
}

int op_bind_inside(struct machine *m, const struct op_bind_inside *a)
{
    static const struct lookup how = {.flags = O_PATH};
    int with_close source = path_open(m, a->source, &how);
    if (source < 0)
        return source;
    return bind_on(m, tree_clone(m, source, "", a->recursive != 0), source, "", a->target, a->recursive != 0, false);
}

int op_bind_device(struct machine *m, const struct op_bind_device *a)
{
    if (!*a->source)
        return -ENOENT;
    return bind_on(m, tree_clone(m, AT_FDCWD, a->source, false), AT_FDCWD, a->source, a->target, false, true);
}
