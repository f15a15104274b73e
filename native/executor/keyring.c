/* The session keyring: a container must neither see nor fill the caller's. */
#include "executor.h"

#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

int op_session_keyring(struct machine *m, const struct op_session_keyring *a)
{
    char description[512];
    (void)m;
    long id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, a->name);
    if (id < 0)
        return errno == ENOSYS ? 0 : -errno; /* a kernel without CONFIG_KEYS */
    if (!a->grant)
        return 0;
    long n = syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, description, sizeof(description));
    if (n < 0)
        return -errno;
    if (n == 0 || (size_t)n > sizeof(description))
        return -ENOBUFS;
    /* type;uid;gid;permissions in hex;description */
    char *field = description;
    for (int i = 0; i < 3; i++) {
        field = strchr(field, ';');
        if (!field)
            return -EPROTO;
        field++;
    }
    unsigned long permissions = strtoul(field, NULL, 16) | a->grant;
    return syscall(SYS_keyctl, KEYCTL_SETPERM, id, permissions) < 0 ? -errno : 0;
}
