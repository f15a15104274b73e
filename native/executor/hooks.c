/* Hooks in the container's namespaces: the state on stdin, a time limit, and their last words when they fail. */
#include "executor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "text.h"

#define TAIL_BYTES 1024

struct hook {
    pid_t pid;
    int input, output, refused; /* our ends: stdin; stdout and stderr; execve's errno */
    struct bytes state[3];      /* still to be written: before the pid, the pid, after it */
    char tail[TAIL_BYTES];
    size_t tail_used;
};

static void nothing(int signal)
{
    (void)signal; /* SIGCHLD only has to interrupt ppoll */
}

static void __attribute__((noreturn)) become_hook(struct machine *m, const struct op_hook *a, int stdio[2], int refused,
                                                  const sigset_t *signals)
{
    static char *none[] = {NULL};
    char *alone[] = {(char *)(uintptr_t)a->path, NULL};
    struct sigaction ignored = {.sa_handler = SIG_DFL};
    int error = 0;
    sigaction(SIGPIPE, &ignored, NULL);
    sigaction(SIGCHLD, &ignored, NULL);
    sigprocmask(SIG_SETMASK, signals, NULL);
    if (dup2(stdio[0], 0) < 0 || dup2(stdio[1], 1) < 0 || dup2(stdio[1], 2) < 0)
        error = errno;
    /* Descriptors that are preserved for the program are none of the hook's; the others are close-on-exec. */
    for (unsigned fd = 3; fd < m->keep; fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    if (!m->umask_set)
        umask(m->umask);
    /* createContainer: from the container's root, though its path is the host's. */
    if (!error && !m->entered && m->root >= 0 && fchdir(m->root) < 0)
        error = errno;
    if (!error) {
        execve(a->path, a->args.count ? a->args.items : alone, a->env.count ? a->env.items : none);
        error = errno;
    }
    if (write(refused, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

static int make_pipe(int ours, int pipe_ends[2])
{
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        return -errno;
    return fcntl(pipe_ends[ours], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int start(struct machine *m, const struct op_hook *a, struct hook *h, const sigset_t *signals)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, refused[2] = {-1, -1};
    int r = make_pipe(1, in);
    if (r == 0)
        r = make_pipe(0, out);
    if (r == 0 && pipe2(refused, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0) {
        h->pid = fork();
        if (h->pid == 0)
            become_hook(m, a, (int[]){in[0], out[1]}, refused[1], signals);
        if (h->pid < 0)
            r = -errno;
    }
    close_descriptor(&in[0]);
    close_descriptor(&out[1]);
    close_descriptor(&refused[1]);
    h->input = in[1];
    h->output = out[0];
    h->refused = refused[0];
    return r;
}

/* The hook may read as slowly as it likes, and need not read at all. */
static void feed(struct hook *h)
{
    for (int i = 0; i < 3; i++) {
        struct bytes *b = &h->state[i];
        while (b->size) {
            ssize_t n = write(h->input, b->data, b->size);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0)
                break;
            b->data += n;
            b->size -= (uint32_t)n;
        }
        if (b->size)
            break; /* closed by the hook */
    }
    close_descriptor(&h->input);
    h->input = -1;
}

static void drain(struct hook *h)
{
    char buffer[4096];
    for (;;) {
        ssize_t n = read(h->output, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        size_t new = (size_t)n < sizeof(h->tail) ? (size_t)n : sizeof(h->tail);
        size_t old = h->tail_used + new <= sizeof(h->tail) ? h->tail_used : sizeof(h->tail) - new;
        memmove(h->tail, h->tail + h->tail_used - old, old);
        memcpy(h->tail + old, buffer + n - new, new);
        h->tail_used = old + new;
    }
    close_descriptor(&h->output);
    h->output = -1;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the hook itself has ended: something that it left in the background may hold its output open for ever. */
static int serve(struct hook *h, uint32_t timeout, const sigset_t *signals, int *status)
{
    int64_t end = timeout ? milliseconds() + (int64_t)timeout * 1000 : 0;
    for (;;) {
        pid_t done = waitpid(h->pid, status, WNOHANG);
        if (done == h->pid) {
            if (h->output >= 0)
                drain(h);
            return 0;
        }
        if (done < 0 && errno != EINTR)
            return -errno;
        int64_t left = timeout ? end - milliseconds() : 0;
        if (timeout && left <= 0) {
            kill(h->pid, SIGKILL);
            while (waitpid(h->pid, status, 0) < 0 && errno == EINTR)
                ;
            return -ETIMEDOUT;
        }
        struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        struct pollfd fds[2] = {{h->input, POLLOUT, 0}, {h->output, POLLIN, 0}};
        /* SIGCHLD is blocked except in here, so that it cannot be missed. */
        if (ppoll(fds, 2, timeout ? &wait : NULL, signals) <= 0)
            continue;
        if (fds[0].revents)
            feed(h);
        if (fds[1].revents)
            drain(h);
    }
}

static int judge(struct machine *m, const struct op_hook *a, struct hook *h, int result, int status)
{
    char text[80] = "", tail[TAIL_BYTES + 1];
    struct text t = TEXT(text);
    int error = 0;
    if (result == 0 && read(h->refused, &error, sizeof(error)) == sizeof(error) && error > 0) {
        explain(m, "hook ", a->path, " cannot be executed", NULL);
        return -error;
    }
    if (result == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (result == -ETIMEDOUT) {
        text_add(&t, " timed out after ");
        text_add_number(&t, a->timeout);
        text_add(&t, " s");
    } else if (result < 0) {
        text_add(&t, " was lost");
    } else if (WIFSIGNALED(status)) {
        text_add(&t, " was killed by signal ");
        text_add_number(&t, WTERMSIG(status));
    } else {
        text_add(&t, " ended with status ");
        text_add_number(&t, WEXITSTATUS(status));
    }
    for (size_t i = 0; i < h->tail_used; i++)
        tail[i] = h->tail[i] ? h->tail[i] : ' ';
    while (h->tail_used && (tail[h->tail_used - 1] == '\n' || tail[h->tail_used - 1] == ' '))
        h->tail_used--;
    tail[h->tail_used] = '\0';
    explain(m, "hook ", a->path, text, *tail ? ": " : "", tail, NULL);
    return result < 0 ? result : -ECANCELED;
}

int op_hook(struct machine *m, const struct op_hook *a)
{
    struct hook h = {.pid = -1, .input = -1, .output = -1, .refused = -1, .state = {a->before_pid, {0}, a->after_pid}};
    struct sigaction notice = {.sa_handler = nothing}, ignore = {.sa_handler = SIG_IGN}, before_child, before_pipe;
    sigset_t child, before;
    char pid[24] = "";
    struct text t = TEXT(pid);
    int status = 0;
    text_add_number(&t, getpid());
    h.state[1] = (struct bytes){(const unsigned char *)pid, (uint32_t)t.used};
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &child, &before) < 0 || sigaction(SIGCHLD, &notice, &before_child) < 0 ||
        sigaction(SIGPIPE, &ignore, &before_pipe) < 0)
        return -errno;
    int r = start(m, a, &h, &before);
    if (r == 0) {
        r = serve(&h, a->timeout, &before, &status);
        r = judge(m, a, &h, r, status);
    }
    close_descriptor(&h.input);
    close_descriptor(&h.output);
    close_descriptor(&h.refused);
    sigaction(SIGCHLD, &before_child, NULL);
    sigaction(SIGPIPE, &before_pipe, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}
