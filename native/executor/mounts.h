/* Targets of mounts: found once, checked, and looked at again afterwards. */
#pragma once

#include "executor.h"

/* Flags that make mount(2) another call than "mount this here". */
#define OTHER_CALLS (MS_REMOUNT | MS_BIND | MS_MOVE | MS_REC | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

enum content { CONTENT_PROCFS, CONTENT_OTHER };

struct mount_request {
    const char *type, *source;
    uint64_t flags;
    const char *data;
};

/* O_PATH of a mount target, a directory if it was missing. */
int target_open(struct machine *m, const char *path, bool no_symlinks, bool *created);
/* Refuse the root itself, and what would hide parts of /proc. */
int target_check(struct machine *m, int target, /* Flags that make mount(2) another call than "mount this here". */
#define OTHER_CALLS (MS_REMOUNT | MS_BIND | MS_MOVE | MS_REC | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

enum content content);
/* Does `path` lead to the mount `tree` (-1: to any new mount at `before`)? */
int target_verify(struct machine *m, const char *path, int before, int tree);
int mount_on(struct machine *m, const char *path, int target, const struct mount_request *request);
int bind_descriptor(struct machine *m, int source, const char *target);
int tmpfs_data(int covered, const char *data, char *buffer, size_t size);
