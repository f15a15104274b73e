/* procfs, verified: a file of an image or of a volume that only looks like it is never written. */
#pragma once

#include "executor.h"

/* O_PATH of /proc: the host's before the root is entered, the container's afterwards. -EXDEV: not a procfs. */
int proc_open(struct machine *m);
int proc_write_self(struct machine *m, const char *name, const char *value);
bool proc_is(int fd);
