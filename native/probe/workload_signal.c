/* Signals: blocked, ignored, handled and pending ones, with what was queued with them. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define MOST 16

static char other_stack[32768];

static void handle(int number, siginfo_t *information, void *context)
{
    (void)number, (void)information, (void)context;
}

static sigset_t waiting(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGRTMIN + 1);
    return set;
}

static int prepare(void)
{
    sigset_t set = waiting();
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGALRM);
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    TRY(sigprocmask(SIG_BLOCK, &set, NULL));
    TRY(sigaction(SIGTTIN, &action, NULL));
    TRY(sigaltstack(&stack, NULL));
    if (signal(SIGQUIT, SIG_IGN) == SIG_ERR)
        return errno;
    TRY(kill(getpid(), SIGUSR2));
    TRY(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGHUP));
    for (int i = 1; i <= 3; i++)
        TRY(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 * i}));
    return 0;
}

/* Takes what is pending, and queues it again as it was. */
static void key_pending(struct json *json)
{
    siginfo_t found[MOST];
    sigset_t set = waiting();
    struct timespec no_time = {0};
    char room[24];
    int count = 0;
    /* the raw call: the C library's passes SI_TKILL off as SI_USER */
    while (count < MOST && syscall(SYS_rt_sigtimedwait, &set, &found[count], &no_time, 8) > 0)
        count++;
    json_key(json, "pending");
    json_open(json, '[');
    for (int i = 0; i < count; i++) {
        json_open(json, '{');
        key_string(json, "signal", signal_name(found[i].si_signo, room));
        key_number(json, "code", found[i].si_code);
        key_number(json, "pid", found[i].si_pid);
        key_number(json, "value", found[i].si_code == SI_QUEUE ? found[i].si_value.sival_int : 0);
        json_close(json, '}');
        if (found[i].si_code == SI_TKILL)
            syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), found[i].si_signo, &found[i]);
        else
            syscall(SYS_rt_sigqueueinfo, getpid(), found[i].si_signo, &found[i]);
    }
    json_close(json, ']');
}

static void state(struct json *json)
{
    char room[64];
    struct sigaction action = {0};
    stack_t stack = {0};
    uint64_t mask = 0;
    key_string(json, "of_the_thread", status_field("SigPnd", room, sizeof room));
    key_string(json, "of_the_process", status_field("ShdPnd", room, sizeof room));
    key_string(json, "blocked", status_field("SigBlk", room, sizeof room));
    key_string(json, "ignored", status_field("SigIgn", room, sizeof room));
    key_string(json, "caught", status_field("SigCgt", room, sizeof room));
    key_pending(json);
    sigaction(SIGTTIN, NULL, &action);
    memcpy(&mask, &action.sa_mask, sizeof mask);
    key_bool(json, "handler", action.sa_sigaction == handle);
    key_number(json, "handler_flags", action.sa_flags);
    key_hex(json, "handler_mask", mask);
    sigaltstack(NULL, &stack);
    key_bool(json, "stack", stack.ss_sp == other_stack && stack.ss_size == sizeof other_stack);
    key_number(json, "stack_flags", stack.ss_flags);
}

const struct workload signal_workloads[] = {
    {"signals", prepare, state},
    {NULL, NULL, NULL},
};
