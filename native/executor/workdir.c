/* The program's working directory. */
#include "executor.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "paths.h"

static int enter(struct machine *m, const char *target, bool create)
{
    char now[PATH_MAX];
    struct lookup how = {.flags = O_PATH | O_DIRECTORY, .missing = create ? MISSING_DIRECTORY : MISSING_FAILS, .mode = 0755};
    int with_close directory = path_open(m, target, &how);
    if (directory < 0)
        return directory;
    if (fchdir(directory) < 0)
        return -errno;
    /* getcwd(2): a directory outside of the root is "(unreachable)/..." (CVE-2024-21626). */
    long n = syscall(SYS_getcwd, now, sizeof(now));
    if (n < 0)
        return -errno;
    if (now[0] != '/') {
        explain(m, "the directory is outside of the root", NULL);
        return -EXDEV;
    }
    return 0;
}

int op_chdir(struct machine *m, const struct op_chdir *a)
{
    int r = enter(m, a->target, a->create != 0);
    /* Perhaps only the container's user may enter it (NFS with root_squash, FUSE): chdir_retry decides. */
    m->chdir_refused = r == -EACCES || r == -EPERM;
    return m->chdir_refused ? 0 : r;
}

int op_chdir_retry(struct machine *m, const struct op_chdir_retry *a)
{
    if (!m->chdir_refused)
        return 0;
    m->chdir_refused = false;
    return enter(m, a->target, false);
}
