/* Load the program's seccomp filter.
 *
 * What the executor still calls afterwards must be in the profile.  With no_new_privs the filter is loaded last, and
 * these remain: close, accept4, read (gate) or sendmsg, read (sync); wait4 (a filter with a listener); execve; and for
 * startContainer hooks pipe2, rt_sigaction, rt_sigprocmask, rt_sigreturn, getpid, clone, set_robust_list, dup2, fcntl,
 * ppoll, write, clock_gettime, wait4, and kill where one runs out of time.  A failure needs sendmsg to be told, and exit_group.  Without no_new_privs loading is a
 * privileged call and comes before the capabilities go, so chdir, prctl, capset, setresuid ... are needed as well.
 */
#include "executor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "message.h"

#ifndef BPF_MAXINSNS
#define BPF_MAXINSNS 4096
#endif

static int load(const struct sock_fprog *program, uint32_t flags)
{
    long r = flags ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program)
                   : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0);
    return r < 0 ? -errno : (int)r;
}

/* The listener's descriptor number, written by the loader without a system call. */
struct mailbox {
    volatile int listener; /* 0: not yet, -1: the filter was refused */
};

/* Runs without the filter, shares the descriptors: its sendmsg cannot be caught by the filter whose listener it sends. */
static void __attribute__((noreturn)) send_listener(struct machine *m, struct mailbox *box, pid_t loader)
{
    static const struct timespec pause = {.tv_nsec = 50000};
    while (box->listener == 0) {
        nanosleep(&pause, NULL);
        if (box->listener == 0 && getppid() != loader)
            _exit(1);
    }
    _exit(box->listener > 0 && message_send(m, MESSAGE_LISTENER, box->listener, 0, NULL, box->listener) < 0);
}

static int load_with_listener(struct machine *m, const struct sock_fprog *program, uint32_t flags)
{
    int status;
    struct mailbox *box = mmap(NULL, sizeof(*box), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (box == MAP_FAILED)
        return -errno;
    pid_t loader = getpid();
#ifdef __s390__
    long helper = syscall(SYS_clone, 0, CLONE_FILES | SIGCHLD, 0, 0, 0);
#else
    long helper = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
#endif
    if (helper < 0) {
        int error = errno;
        munmap(box, sizeof(*box));
        return -error;
    }
    if (helper == 0)
        send_listener(m, box, loader);
    int listener = load(program, flags | SECCOMP_FILTER_FLAG_NEW_LISTENER);
    box->listener = listener < 0 ? -1 : listener;
    while (waitpid((pid_t)helper, &status, 0) < 0)
        if (errno != EINTR)
            return listener < 0 ? listener : -errno;
    if (listener < 0)
        return listener;
    close(listener);
    munmap(box, sizeof(*box));
    return status == 0 ? 0 : -EPIPE;
}

int op_seccomp(struct machine *m, const struct op_seccomp *a)
{
    size_t count = a->filter.size / sizeof(struct sock_filter);
    if (a->filter.size % sizeof(struct sock_filter) || count == 0 || count > BPF_MAXINSNS ||
        a->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        return -EINVAL;
    struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)(uintptr_t)a->filter.data};
    return a->notify ? load_with_listener(m, &program, a->flags) : load(&program, a->flags);
}
