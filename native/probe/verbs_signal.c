/* Verbs that stay: sleep, hold, signal-log. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static int64_t duration = -1; /* ns; -1: for ever */
static bool watch_stdin;
static int until;

static struct timespec left_of(int64_t deadline)
{
    int64_t left = deadline - clock_nanoseconds(CLOCK_MONOTONIC);
    if (left < 0)
        left = 0;
    return (struct timespec){left / 1000000000, left % 1000000000};
}

static int nap(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    if (!parse_seconds(argv[0], &duration))
        return BAD_ARGUMENTS;
    int64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + duration;
    struct timespec left = left_of(deadline);
    while (nanosleep(&left, NULL) < 0 && errno == EINTR)
        left = left_of(deadline);
    return 0;
}

static volatile sig_atomic_t terminated;

static void note_termination(int number)
{
    (void)number;
    terminated = 1;
}

/* Pid 1 of a namespace gets only the signals that it has a handler for; the handler is there before the line is out. */
static int prepare_hold(struct json *value, int argc, char **argv)
{
    (void)value;
    duration = -1;
    watch_stdin = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--stdin") == 0)
            watch_stdin = true;
        else if (!parse_seconds(argv[i], &duration))
            return BAD_ARGUMENTS;
    }
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    struct sigaction action = {.sa_handler = note_termination};
    return sigaction(SIGTERM, &action, NULL) < 0 ? errno : 0;
}

/* Ends the process on SIGTERM or at the end of stdin; returns when the time is up. */
static void hold(int argc, char **argv)
{
    (void)argc, (void)argv;
    sigset_t open_mask;
    sigprocmask(SIG_SETMASK, NULL, &open_mask);
    sigdelset(&open_mask, SIGTERM);
    int64_t deadline = duration < 0 ? 0 : clock_nanoseconds(CLOCK_MONOTONIC) + duration;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0) /* as pid 1 it gets the orphans */
            ;
        struct timespec left = left_of(deadline);
        int ready = ppoll(&input, watch_stdin, duration < 0 ? NULL : &left, &open_mask);
        if (terminated)
            _exit(0);
        if (ready == 0)
            break;
        char bytes[4096];
        if (ready > 0 && read(STDIN_FILENO, bytes, sizeof bytes) <= 0)
            _exit(0);
    }
    signal(SIGTERM, SIG_DFL);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &term, NULL);
}

/* A blocked signal stays pending even for pid 1 without a handler, and waiting for it gives its siginfo.  The raw calls
 * reach signals 32 and 33 too. */
static int prepare_log(struct json *value, int argc, char **argv)
{
    uint64_t every = ~UINT64_C(0);
    until = SIGTERM;
    if (!parse_seconds(argv[0], &duration) || argc == 2)
        return BAD_ARGUMENTS;
    if (argc == 3) {
        if (strcmp(argv[1], "--until") != 0)
            return BAD_ARGUMENTS;
        if (strcmp(argv[2], "none") == 0)
            until = 0;
        else if (!parse_signal(argv[2], &until))
            return BAD_ARGUMENTS;
    }
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof every) < 0)
        return errno;
    json_string(value, "ready");
    return 0;
}

static void print_signal(const siginfo_t *info)
{
    char room[512], name[24];
    struct json line;
    json_reset(&line, room, sizeof room);
    json_open(&line, '{');
    key_string(&line, "verb", "signal");
    json_key(&line, "args");
    json_open(&line, '[');
    json_close(&line, ']');
    json_key(&line, "value");
    json_open(&line, '{');
    key_string(&line, "signal", signal_name(info->si_signo, name));
    key_number(&line, "number", info->si_signo);
    key_number(&line, "code", info->si_code);
    key_number(&line, "pid", info->si_pid);
    key_number(&line, "uid", (int64_t)info->si_uid);
    json_close(&line, '}');
    key_bool(&line, "ok", true);
    key_null(&line, "errno");
    json_close(&line, '}');
    output_line(&line);
    json_free(&line);
}

static void log_signals(int argc, char **argv)
{
    (void)argc, (void)argv;
    uint64_t every = ~UINT64_C(0);
    int64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + duration;
    for (;;) {
        siginfo_t info;
        struct timespec left = left_of(deadline);
        long number = syscall(SYS_rt_sigtimedwait, &every, &info, &left, sizeof every);
        if (number < 0 && errno == EINTR)
            continue;
        if (number < 0)
            return; /* EAGAIN: the time is up; the mask stays, so that nothing kills the rest of the chain */
        if (number == SIGCHLD)
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        print_signal(&info);
        if (number == until)
            return;
    }
}

const struct verb signal_verbs[] = {
    {"sleep", "sleep SECONDS", 1, 1, nap, NULL},
    {"hold", "hold [SECONDS] [--stdin]", 0, 2, prepare_hold, hold},
    {"signal-log", "signal-log SECONDS [--until SIGNAL|none]", 1, 3, prepare_log, log_signals},
    {NULL, NULL, 0, 0, NULL, NULL},
};
