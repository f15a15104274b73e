/* Who the program is: users, groups, capabilities. */
#include "executor.h"

#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "message.h"
#include "text.h"

#define CAPABILITIES_MAX 64

int op_bounding(struct machine *m, const struct op_bounding *a)
{
    char number[24] = "";
    struct text t = TEXT(number);
    for (unsigned cap = 0; cap < CAPABILITIES_MAX; cap++) {
        int now = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (now < 0)
            return errno == EINVAL ? 0 : -errno; /* above the kernel's last one */
        if (now == 0 || a->keep >> cap & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            int error = errno;
            text_add_number(&t, cap);
            explain(m, "capability ", number, NULL);
            return -error;
        }
    }
    return 0;
}

int op_keep_caps(struct machine *m, const struct op_keep_caps *a)
{
    (void)m;
    return prctl(PR_SET_KEEPCAPS, a->on != 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* Raw calls: glibc's wrappers would look for threads to change as well.  Old 32 bit architectures have two sets of them. */
#ifdef SYS_setresuid32
#undef SYS_setgroups
#undef SYS_setresgid
#undef SYS_setresuid
#define SYS_setgroups SYS_setgroups32
#define SYS_setresgid SYS_setresgid32
#define SYS_setresuid SYS_setresuid32
#endif

int op_groups(struct machine *m, const struct op_groups *a)
{
    uint32_t *all = a->gids.items;
    uint32_t count = a->gids.count;
    if (m->group_count) {
        all = calloc((size_t)count + m->group_count, sizeof(*all));
        if (!all)
            return -ENOMEM;
        memcpy(all, a->gids.items, count * sizeof(*all));
        memcpy(all + count, m->groups, m->group_count * sizeof(*all));
        count += m->group_count;
    }
    int r = m->setgroups_denied && count == 0 ? 0 : syscall(SYS_setgroups, (long)count, all) < 0 ? -errno : 0;
    if (all != a->gids.items)
        free(all);
    return r;
}

int op_identity(struct machine *m, const struct op_identity *a)
{
    uint32_t uid = a->uid, gid = a->gid;
    if (number_found(m, m->uid, &uid) < 0 || number_found(m, m->gid, &gid) < 0)
        return -EINVAL;
    if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
        return -errno;
    return 0;
}

int op_capset(struct machine *m, const struct op_capset *a)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    (void)m;
    for (int i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(a->effective >> 32 * i);
        data[i].permitted = (uint32_t)(a->permitted >> 32 * i);
        data[i].inheritable = (uint32_t)(a->inheritable >> 32 * i);
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int op_ambient(struct machine *m, const struct op_ambient *a)
{
    /* EINVAL: before Linux 4.3 there is no ambient set. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return -errno;
    for (unsigned cap = 0; cap < CAPABILITIES_MAX; cap++) {
        char warning[128] = "";
        struct text t = TEXT(warning);
        if (!(a->raise >> cap & 1) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0)
            continue;
        text_add(&t, "ambient capability ");
        text_add_number(&t, cap);
        text_add(&t, " could not be raised: it is not both permitted and inheritable");
        message_warning(m, warning);
    }
    return 0;
}

int op_stdio_owner(struct machine *m, const struct op_stdio_owner *a)
{
    uint32_t uid = a->uid;
    if (number_found(m, m->uid, &uid) < 0)
        return -EINVAL;
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        if (fstat(fd, &st) < 0) {
            if (errno == EBADF)
                continue;
            return -errno;
        }
        /* A device that is no terminal (/dev/null, /dev/full) is the host's, not this container's. */
        if (st.st_uid == uid || S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd)))
            continue;
        if (fchown(fd, uid, (gid_t)-1) < 0 && errno != EPERM && errno != EROFS)
            return -errno;
    }
    return 0;
}
