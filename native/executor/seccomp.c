/* Load the program's seccomp filter.
 *
 * What the executor still calls afterwards must be in the profile.  With no_new_privs the filter is loaded last, and
 * these remain: close, accept4, read (gate) or sendmsg, read (sync); execve; and for startContainer hooks pipe2,
 * rt_sigaction, rt_sigprocmask, rt_sigreturn, getpid, clone, set_robust_list, dup2, fcntl, ppoll, write, clock_gettime,
 * wait4, and kill where one runs out of time.  A filter with a listener also meets one wait4, which may fail.  A failure
 * needs sendmsg to be told, and exit_group.  Without no_new_privs loading is a privileged call and comes before the
 * capabilities go: setresgid, setresuid, capset, prctl, and what finds the program are needed as well.
 */
#include "executor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "message.h"

#ifndef BPF_MAXINSNS
#define BPF_MAXINSNS 4096
#endif

#define SENDER_SECONDS 10

static int load(const struct sock_fprog *program, uint32_t flags)
{
    long r = flags ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program)
                   : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0);
    return r < 0 ? -errno : (int)r;
}

/* Shared with the sender: neither side needs a system call to use it. */
struct mailbox {
    volatile int listener; /* 0: not yet, -1: the filter was refused */
    volatile int sent;     /* 0: not yet, 1: the parent has the listener and it is closed here, -1: sending failed */
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
    if (box->listener < 0)
        _exit(0);
    int r = message_send(m, MESSAGE_LISTENER, box->listener, 0, NULL, box->listener);
    /* Else this process itself would keep the calls waiting that nobody answers any more. */
    close(box->listener);
    box->sent = r < 0 ? -1 : 1;
    _exit(0);
}

/* The filter may refuse wait4, or hand it to the agent; the mailbox then says when the sender has done its work. */
static bool await_sent(struct mailbox *box)
{
    struct timespec start, now;
    int status;
    for (;;) {
        if (waitpid(-1, &status, 0) >= 0 || errno == ECHILD)
            return box->sent == 1;
        if (errno != EINTR)
            break;
    }
    if (clock_gettime(CLOCK_MONOTONIC, &start) < 0) /* the vDSO's: no system call */
        return false;
    do {
        if (box->sent)
            return box->sent == 1;
    } while (clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec - start.tv_sec < SENDER_SECONDS);
    return false; /* it was killed */
}

static int load_with_listener(struct machine *m, const struct sock_fprog *program, uint32_t flags)
{
    /* The sender must not stay a zombie where wait4 is refused; execve(2) takes the flag away again. */
    struct sigaction reap = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    struct mailbox *box = mmap(NULL, sizeof(*box), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (box == MAP_FAILED || sigaction(SIGCHLD, &reap, NULL) < 0)
        return -errno;
    pid_t loader = getpid();
#ifdef __s390__
    long sender = syscall(SYS_clone, 0, CLONE_FILES | SIGCHLD, 0, 0, 0);
#else
    long sender = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
#endif
    if (sender == 0)
        send_listener(m, box, loader);
    if (sender < 0 && errno != EAGAIN)
        return -errno;
    int listener = load(program, flags | SECCOMP_FILTER_FLAG_NEW_LISTENER);
    box->listener = listener < 0 ? -1 : listener;
    if (sender < 0) {
        /* A limit of one process: this one sends, which works unless the profile is about just that. */
        int r = listener < 0 ? listener : message_send(m, MESSAGE_LISTENER, listener, 0, NULL, listener);
        if (listener >= 0)
            close(listener);
        return r;
    }
    bool sent = await_sent(box);
    return listener < 0 ? listener : sent ? 0 : -EPIPE;
}

int op_seccomp(struct machine *m, const struct op_seccomp *a)
{
    size_t count = a->filter.size / sizeof(struct sock_filter);
    if (a->filter.size % sizeof(struct sock_filter) || count == 0 || count > BPF_MAXINSNS ||
        a->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        return -EINVAL;
    /* Later the filter may refuse umask(2). */
    if (!m->umask_set) {
        umask(m->umask);
        m->umask_set = true;
    }
    struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)(uintptr_t)a->filter.data};
    return a->notify ? load_with_listener(m, &program, a->flags) : load(&program, a->flags);
}
