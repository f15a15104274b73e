/* What the operations share: the machine's state, and how to fail.
 *
 * Rule of the house: a function returns 0 (or a descriptor) or -errno; errno itself is read right after the call that
 * set it.  An operation that fails may say more with explain(); the text travels with the errno to the parent.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "operations.h"

#define NO_OPERATION 0xffffffffu
#define DETAIL_BYTES 2048

struct machine {
    int channel;         /* SEQPACKET socket to the parent, after `gate` to `start`; -1: nobody listens */
    unsigned keep;       /* descriptors below belong to the program */
    uint32_t index;      /* of the operation that runs */
    int root;            /* O_PATH: container paths are beneath it; -1: not opened yet */
    bool entered;        /* the root is this process's "/" */
    char root_path[PATH_MAX]; /* the root as the host sees it, until it is entered */
    bool no_mount_api;   /* fsopen or open_tree answered ENOSYS or EPERM once */
    int null;            /* the container's verified /dev/null, O_PATH; -1: not opened yet */
    const char *mask_label; /* SELinux context of that tmpfs; NULL: none */
    int empty_directory; /* the tmpfs that hides directories; -1: none yet */
    mode_t umask;        /* inherited, in force again for hooks and the program unless `umask` sets another */
    bool umask_set;
    bool nondumpable;
    bool setgroups_denied; /* by the user namespace: user_namespaces(7) */
    bool chdir_refused; /* chdir has been left to chdir_retry */
    char **env;         /* of the program, and `find`'s PATH */
    char *home;         /* "HOME=...": goes into env when that comes */
    char *program;      /* that `find` found */
    bool user_found;    /* by `user` */
    uint32_t uid, gid;
    uint32_t *groups;
    uint32_t group_count;
    char detail[DETAIL_BYTES];
};

/* The detail of the coming failure: these words in a row, up to a NULL. */
void explain(struct machine *m, ...) __attribute__((sentinel));

/* The number itself, or what `user` found for USER_FOUND; -EINVAL: it has not run, and -1 would keep root's id. */
static inline int number_found(const struct machine *m, uint32_t found, uint32_t *number)
{
    if (*number == USER_FOUND && !m->user_found)
        return -EINVAL;
    if (*number == USER_FOUND)
        *number = found;
    return 0;
}

static inline void close_descriptor(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

/* int with_close fd = ...: closed when it goes out of scope. */
#define with_close __attribute__((cleanup(close_descriptor)))

/* Hand a with_close descriptor to the caller. */
static inline int keep_open(int *fd)
{
    int kept = *fd;
    *fd = -1;
    return kept;
}
