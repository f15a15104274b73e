/* Security modules: what the program will run as, and what belongs to it.  proc_pid_attr(5), apparmor(7), selinux(8).
 *
 * The attributes concern the next execve; they are written through a verified procfs, or an image could keep the program
 * unconfined by a file of its own (CVE-2019-16884).
 */
#include "executor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "paths.h"
#include "proc.h"
#include "text.h"

int op_apparmor(struct machine *m, const struct op_apparmor *a)
{
    char value[4096] = "";
    struct text t = TEXT(value);
    if (strlen(a->profile) + sizeof("exec ") > sizeof(value))
        return -ENAMETOOLONG;
    text_add(&t, "exec ");
    text_add(&t, a->profile);
    int r = proc_write_self(m, "attr/apparmor/exec", value);
    if (r == -ENOENT) {
        /* Before Linux 5.8 the modules share one file.  ENOENT also means that the profile is not loaded. */
        char now[256];
        if (proc_read_self(m, "attr/apparmor/exec", now, sizeof(now)) == -ENOENT)
            r = proc_write_self(m, "attr/exec", value);
    }
    if (r == -ENOENT)
        explain(m, "is the profile loaded?", NULL);
    return r;
}

int op_selinux(struct machine *m, const struct op_selinux *a)
{
    static const char *const files[] = {"attr/exec", "attr/keycreate"};
    if (a->what >= sizeof(files) / sizeof(files[0]))
        return -EINVAL;
    /* A lone newline takes the label away again. */
    return proc_write_self(m, files[a->what], *a->label ? a->label : "\n");
}

int op_relabel(struct machine *m, const struct op_relabel *a)
{
    static const struct lookup how = {.flags = O_RDONLY | O_DIRECTORY};
    int with_close fd = path_open(m, a->target, &how);
    if (fd < 0)
        return fd;
    return fsetxattr(fd, "security.selinux", a->label, strlen(a->label) + 1, 0) < 0 ? -errno : 0;
}

int op_mask_label(struct machine *m, const struct op_mask_label *a)
{
    m->mask_label = a->label;
    return 0;
}
