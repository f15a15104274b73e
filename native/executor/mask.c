/* Masked paths: a file gets the container's /dev/null over it, a directory an empty read-only tmpfs. */
#include "executor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "attach.h"
#include "mounts.h"
#include "null.h"
#include "paths.h"
#include "text.h"

static int hide_file(struct machine *m, const char *path)
{
    int null = null_device(m);
    if (null < 0)
        return null;
    return bind_descriptor(m, null, path);
}

/* One filesystem for all: a superblock for each mask would cost kernel memory (runc issue 5275). */
static int hide_directory(struct machine *m, const char *path, int target)
{
    /* Before Linux 5.13 or so a tmpfs with one inode cannot hold its own root. */
    static const char *const sizes[] = {"nr_blocks=1,nr_inodes=1", "nr_blocks=1,nr_inodes=2"};
    static const struct lookup how = {.flags = O_PATH | O_DIRECTORY};
    int r = -EINVAL;
    if (m->empty_directory >= 0)
        return bind_descriptor(m, m->empty_directory, path);
    for (size_t i = 0; i < 2 && r < 0; i++) {
        char data[4096] = "";
        struct text t = TEXT(data);
        if (m->mask_label && strlen(m->mask_label) > sizeof(data) / 2)
            return -ENAMETOOLONG;
        text_add(&t, sizes[i]);
        if (m->mask_label) {
            text_add(&t, ",context=\"");
            text_add(&t, m->mask_label);
            text_add(&t, "\"");
        }
        struct mount_request request = {"tmpfs", "tmpfs", MS_RDONLY, data};
        r = mount_on(m, path, target, &request);
    }
    if (r == 0)
        m->empty_directory = path_open(m, path, &how);
    return r < 0 ? r : m->empty_directory < 0 ? m->empty_directory : 0;
}

int op_mask(struct machine *m, const struct op_mask *a)
{
    static const struct lookup how = {.flags = O_PATH};
    struct stat st;
    int with_close target = path_open(m, a->target, &how);
    if (target == -ENOENT)
        return 0;
    if (target < 0)
        return target;
    if (fstat(target, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? hide_directory(m, a->target, target) : hide_file(m, a->target);
}
