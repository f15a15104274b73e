/* Joining, leaving and being born into namespaces. */
#include "executor.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "message.h"
#include "proc.h"

int op_setns(struct machine *m, const struct op_setns *a)
{
    if (setns((int)a->fd, (int)a->type) < 0)
        return -errno;
    /* A descriptor of another namespace is a way out for whoever can inspect this process: it goes at once. */
    close((int)a->fd);
    if (a->type == 0 || a->type & CLONE_NEWNS) {
        if (m->root >= 0)
            close(m->root);
        m->root = -1;
    }
    return 0;
}

int op_unshare(struct machine *m, const struct op_unshare *a)
{
    (void)m;
    if (a->flags > INT_MAX)
        return -EINVAL;
    /* EINVAL: kernels before 4.3 while the task is being moved between cgroups (runc issue 3776). */
    for (int tries = 0; unshare((int)a->flags) < 0; tries++)
        if (errno != EINVAL || tries == 5)
            return -errno;
    return 0;
}

static long classic_clone(uint64_t flags)
{
    /* CLONE_NEWTIME lies in clone(2)'s signal byte; entered before, it holds for the child all the same. */
    if (flags & CLONE_NEWTIME && unshare(CLONE_NEWTIME) < 0)
        return -1;
    flags = (flags & ~(uint64_t)CLONE_NEWTIME) | CLONE_PARENT | SIGCHLD;
#ifdef __s390__
    return syscall(SYS_clone, 0, (unsigned long)flags, 0, 0, 0);
#else
    return syscall(SYS_clone, (unsigned long)flags, 0, 0, 0, 0);
#endif
}

static long clone_sibling(uint64_t flags)
{
    /* CLONE_PARENT takes the exit signal of this process: clone3 refuses another. */
    struct clone_args arguments = {.flags = flags | CLONE_PARENT};
    long pid = syscall(SYS_clone3, &arguments, CLONE_ARGS_SIZE_VER0);
    if (pid >= 0 || errno == ENOMEM || errno == EAGAIN || errno == ENOSPC)
        return pid;
    /* ENOSYS, or EPERM from a seccomp profile that does not know clone3; a real refusal repeats itself. */
    return classic_clone(flags);
}

int op_clone(struct machine *m, const struct op_clone *a)
{
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;
    int ready[2];
    char byte;
    if (a->flags & ~namespaces)
        return -EINVAL;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return -errno;
    long pid = clone_sibling(a->flags);
    if (pid < 0) {
        int error = errno;
        close(ready[0]);
        close(ready[1]);
        return -error;
    }
    if (pid > 0) {
        if (message_send(m, MESSAGE_CHILD, (int32_t)pid, 0, NULL, -1) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        _exit(0);
    }
    /* The parent hears of this process before it hears from it; end of file: it never did. */
    close(ready[1]);
    ssize_t n;
    do
        n = read(ready[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    close(ready[0]);
    if (n != 1)
        _exit(1);
    return 0;
}

int op_timens_offsets(struct machine *m, const struct op_timens_offsets *a)
{
    return proc_write_self(m, "timens_offsets", a->offsets);
}

int op_become_root(struct machine *m, const struct op_become_root *a)
{
    if (a->setgroups && syscall(SYS_setgroups, 0, NULL) < 0) {
        int error = errno;
        char word[16];
        /* A namespace whose maps were written without privilege denies the call for good. */
        m->setgroups_denied = error == EPERM && proc_read_self(m, "setgroups", word, sizeof(word)) > 0 && word[0] == 'd';
        if (!m->setgroups_denied)
            return -error;
    }
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

int op_nondumpable(struct machine *m, const struct op_nondumpable *a)
{
    (void)a;
    m->nondumpable = true;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int op_loopback_up(struct machine *m, const struct op_loopback_up *a)
{
    (void)m;
    (void)a;
    struct ifreq lo = {.ifr_name = "lo"};
    int with_close s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return -errno;
    if (ioctl(s, SIOCGIFFLAGS, &lo) < 0)
        return -errno;
    lo.ifr_flags = (short)(lo.ifr_flags | IFF_UP);
    return ioctl(s, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

int op_hostname(struct machine *m, const struct op_hostname *a)
{
    (void)m;
    return sethostname(a->name, strlen(a->name)) < 0 ? -errno : 0;
}

int op_domainname(struct machine *m, const struct op_domainname *a)
{
    (void)m;
    return setdomainname(a->name, strlen(a->name)) < 0 ? -errno : 0;
}
