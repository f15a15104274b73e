/* procfs, verified: a file of an image or of a volume that only looks like it is never written. */
#pragma once

#include "executor.h"

/* O_PATH of /proc: the host's before the root is entered, the container's afterwards. -EXDEV: not a procfs. */
int proc_open(struct machine *m);
int proc_write_self(struct machine *m, const char *name, const char *value);
/* The file's start as a string; its length. */
int proc_read_self(struct machine *m, const char *name, char *buffer, size_t size);
bool proc_is(int fd);
