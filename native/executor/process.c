/* Attributes of the process that its program inherits. */
#include "executor.h"

#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define IOPRIO_WHO_PROCESS 1

struct scheduling { /* struct sched_attr of sched_setattr(2), first version */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

int op_death_signal(struct machine *m, const struct op_death_signal *a)
{
    (void)m;
    return prctl(PR_SET_PDEATHSIG, (unsigned long)a->signal, 0, 0, 0) < 0 ? -errno : 0;
}

int op_setsid(struct machine *m, const struct op_setsid *a)
{
    (void)m;
    (void)a;
    return setsid() < 0 ? -errno : 0;
}

int op_reset_affinity(struct machine *m, const struct op_reset_affinity *a)
{
    unsigned long all[8192 / (8 * sizeof(long))];
    (void)m;
    (void)a;
    /* The cpuset cuts it down; the caller's own affinity must not reach the container (runc issue 4041). */
    memset(all, 0xff, sizeof(all));
    syscall(SYS_sched_setaffinity, 0, sizeof(all), all);
    return 0;
}

int op_affinity(struct machine *m, const struct op_affinity *a)
{
    (void)m;
    return syscall(SYS_sched_setaffinity, 0, (size_t)a->cpus.size, a->cpus.data) < 0 ? -errno : 0;
}

int op_umask(struct machine *m, const struct op_umask *a)
{
    umask((mode_t)a->mask & 0777);
    m->umask_set = true;
    return 0;
}

int op_rlimit(struct machine *m, const struct op_rlimit *a)
{
    struct rlimit limit = {.rlim_cur = a->soft, .rlim_max = a->hard};
    (void)m;
    return setrlimit((__rlimit_resource_t)a->resource, &limit) < 0 ? -errno : 0;
}

int op_personality(struct machine *m, const struct op_personality *a)
{
    (void)m;
    return personality((unsigned long)a->domain) < 0 ? -errno : 0;
}

int op_scheduler(struct machine *m, const struct op_scheduler *a)
{
    struct scheduling s = {
        .size = sizeof(s),
        .policy = a->policy,
        .flags = a->flags,
        .nice = (int32_t)a->nice,
        .priority = a->priority,
        .runtime = a->runtime,
        .deadline = a->deadline,
        .period = a->period,
    };
    (void)m;
    return syscall(SYS_sched_setattr, 0, &s, 0) < 0 ? -errno : 0;
}

int op_io_priority(struct machine *m, const struct op_io_priority *a)
{
    (void)m;
    return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (long)a->value) < 0 ? -errno : 0;
}

int op_no_new_privs(struct machine *m, const struct op_no_new_privs *a)
{
    (void)m;
    (void)a;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
