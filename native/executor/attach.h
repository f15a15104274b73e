/* Mounts as descriptors: new filesystems, cloned trees, and putting them onto a target that is a descriptor too. */
#pragma once

#include "executor.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256 /* Linux 5.10 */
#endif

/* A detached copy of a mount (tree): of `path`, or of the descriptor `at` itself when path is "".  -ENOSYS: no mount API. */
int tree_clone(struct machine *m, int at, const char *path, bool recursive);
/* A detached new filesystem.  flags: MS_*; data: comma separated options.  -ENOSYS: use mount_legacy. */
int filesystem_new(struct machine *m, const char *type, const char *source, uint64_t flags, const char *data);
int tree_attach(int tree, int target);
/* mount(2) onto a descriptor. source: NULL or a path. */
int mount_legacy(struct machine *m, const char *source, int target, const char *type, uint64_t flags, const char *data);
/* "/proc/self/fd/N" of a verified procfs, or -errno. */
int descriptor_path(struct machine *m, int fd, char path[32]);

/* The id of the mount that a descriptor belongs to; 0 before Linux 5.8. */
uint64_t mount_id(int fd);
/* MS_* flags to MOUNT_ATTR_*; those that belong to the superblock have none. */
uint64_t mount_attributes(uint64_t flags);
