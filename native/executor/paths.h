/* Container paths: resolved beneath the root, whatever the image's symlinks say and however they change meanwhile. */
#pragma once

#include "executor.h"

#include <sys/stat.h>

enum missing { MISSING_FAILS, MISSING_DIRECTORY, MISSING_FILE };

struct lookup {
    int flags;            /* of open(2); O_CLOEXEC is added */
    bool no_symlinks;     /* a symlink anywhere is refused: -ELOOP */
    bool no_follow;       /* a symlink as the last component is the result (with O_PATH) */
    enum missing missing; /* what a path that does not exist becomes; parents become directories 0755 */
    mode_t mode;          /* of the last component, if created */
};

/* A descriptor, or -errno. */
int path_open(struct machine *m, const char *path, const struct lookup *how);
/* The directory (created if missing) that holds or will hold the last component, whose name goes to `name`. */
int path_parent(struct machine *m, const char *path, char name[NAME_MAX + 1]);
/* The machine's root, opened on first use when the container's "/" is already ours (`exec`). */
int root_descriptor(struct machine *m);
