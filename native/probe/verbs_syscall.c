/* Verbs that make one system call, by name or number, in several settings. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"
#include "raw_call.h"

/* Numbers of the calls that came after Debian 12's headers are the same everywhere (from 424 on, asm-generic). */
static const struct name calls[] = {
#include "syscalls.h"
    {"cachestat", 451}, {"fchmodat2", 452}, {"map_shadow_stack", 453}, {"futex_wake", 454}, {"futex_wait", 455},
    {"futex_requeue", 456}, {"statmount", 457}, {"listmount", 458}, {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462}, {"setxattrat", 463}, {"getxattrat", 464},
    {"listxattrat", 465}, {"removexattrat", 466}, {"open_tree_attr", 467}, {NULL, 0},
};

struct call {
    long number;
    unsigned long arguments[6];
};

static bool parse_call(struct call *call, int argc, char **argv)
{
    int64_t number = -1;
    if (argc < 1 || argc > 7)
        return false;
    for (const struct name *known = calls; known->name && number < 0; known++)
        if (strcmp(known->name, argv[0]) == 0)
            number = (int64_t)known->value;
    if (number < 0 && !parse_integer(argv[0], &number))
        return false;
    call->number = (long)number;
    memset(call->arguments, 0, sizeof call->arguments);
    for (int i = 1; i < argc; i++) {
        int64_t integer;
        if (strncmp(argv[i], "str:", 4) == 0) {
            call->arguments[i - 1] = (unsigned long)(argv[i] + 4);
        } else if (strncmp(argv[i], "buf:", 4) == 0) {
            if (!parse_integer(argv[i] + 4, &integer) || integer < 0)
                return false;
            call->arguments[i - 1] = (unsigned long)calloc(1, (size_t)integer + 8);
        } else if (strcmp(argv[i], "null") == 0) {
            call->arguments[i - 1] = 0;
        } else if (parse_integer(argv[i], &integer)) {
            call->arguments[i - 1] = (unsigned long)integer;
        } else {
            return false;
        }
    }
    return true;
}

static bool forks(long number)
{
    static const long numbers[] = {
        SYS_clone,
        SYS_clone3,
#ifdef SYS_fork
        SYS_fork,
        SYS_vfork,
#endif
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (number == numbers[i])
            return true;
    return false;
}

/* Not inlined: a vfork child runs on this frame, and must leave the caller's alone.  The child ends at once. */
__attribute__((noinline)) static long perform(const struct call *call)
{
    static const unsigned long none[6];
    bool child = forks(call->number);
    long result = raw_call(call->number, call->arguments);
    while (child && result == 0)
        raw_call(SYS_exit_group, none);
    return result;
}

static int answer(struct json *value, long result)
{
    if (result < 0 && result > -4096)
        return (int)-result;
    json_number(value, result);
    return 0;
}

static int call_now(struct json *value, int argc, char **argv)
{
    struct call call;
    if (!parse_call(&call, argc, argv))
        return BAD_ARGUMENTS;
    return answer(value, perform(&call));
}

static int call_32(struct json *value, int argc, char **argv)
{
    struct call call;
    int64_t number;
    if (!parse_integer(argv[0], &number) || !parse_call(&call, argc, argv))
        return BAD_ARGUMENTS;
#ifdef HAVE_RAW_CALL_32
    return answer(value, raw_call_32(call.number, call.arguments));
#else
    (void)value;
    return ENOSYS;
#endif
}

static siginfo_t trapped;
static volatile sig_atomic_t trapped_known;

static void note_trap(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    trapped = *info;
    trapped_known = 1;
}

static int call_trapped(struct json *value, int argc, char **argv)
{
    struct call call;
    struct sigaction action = {.sa_sigaction = note_trap, .sa_flags = SA_SIGINFO}, before;
    if (!parse_call(&call, argc, argv))
        return BAD_ARGUMENTS;
    if (sigaction(SIGSYS, &action, &before) < 0)
        return errno;
    trapped_known = 0;
    long result = perform(&call);
    sigaction(SIGSYS, &before, NULL);
    if (!trapped_known)
        return answer(value, result);
    json_open(value, '{');
    key_string(value, "signal", "SIGSYS");
    key_number(value, "code", trapped.si_code); /* SYS_SECCOMP is 1 */
    key_number(value, "syscall", trapped.si_syscall);
    key_unsigned(value, "arch", trapped.si_arch);
    key_number(value, "data", trapped.si_errno);
    json_close(value, '}');
    return 0;
}

static struct call thread_call;
static long thread_result;
static volatile bool thread_returned;

static void *thread_main(void *unused)
{
    thread_result = perform(&thread_call);
    thread_returned = true;
    return unused;
}

/* Does the rest of the process outlive a call that kills the thread?  The kernel clears the thread's id either way. */
static int call_in_thread(struct json *value, int argc, char **argv)
{
    pthread_t thread;
    struct timespec most;
    if (!parse_call(&thread_call, argc, argv))
        return BAD_ARGUMENTS;
    int error = pthread_create(&thread, NULL, thread_main, NULL);
    if (error)
        return error;
    clock_gettime(CLOCK_REALTIME, &most);
    most.tv_sec += 5;
    error = pthread_timedjoin_np(thread, NULL, &most);
    if (error)
        return error;
    json_open(value, '{');
    key_bool(value, "killed", !thread_returned);
    json_key(value, "errno");
    json_errno(value, thread_returned && thread_result < 0 ? (int)-thread_result : 0);
    json_close(value, '}');
    return 0;
}

static void traced(const struct call *call)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    perform(call);
    _exit(0);
}

/* Runs the call in a child and tells of the first PTRACE_EVENT_SECCOMP (SCMP_ACT_TRACE) and its data. */
static int call_in_tracee(struct json *value, int argc, char **argv)
{
    struct call call;
    int status;
    unsigned long data = 0;
    if (!parse_call(&call, argc, argv))
        return BAD_ARGUMENTS;
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0)
        traced(&call);
    bool event = false;
    int error = waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status) ? ECHILD : 0;
    if (!error && ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL) < 0)
        error = errno;
    if (!error && ptrace(PTRACE_CONT, child, 0, 0) < 0)
        error = errno;
    if (!error && waitpid(child, &status, 0) == child && status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
        event = ptrace(PTRACE_GETEVENTMSG, child, 0, &data) == 0;
    if (!WIFEXITED(status) && !WIFSIGNALED(status)) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    if (error)
        return error;
    json_open(value, '{');
    key_bool(value, "event", event);
    key_unsigned(value, "data", data);
    json_close(value, '}');
    return 0;
}

const struct verb syscall_verbs[] = {
    {"syscall", "syscall NAME|NUMBER [INTEGER|str:TEXT|buf:BYTES|null]...", 1, 7, call_now, NULL},
    {"syscall-32", "syscall-32 NUMBER [INTEGER]...", 1, 7, call_32, NULL},
    {"syscall-trap", "syscall-trap NAME|NUMBER [ARGUMENT]...", 1, 7, call_trapped, NULL},
    {"syscall-thread", "syscall-thread NAME|NUMBER [ARGUMENT]...", 1, 7, call_in_thread, NULL},
    {"syscall-trace", "syscall-trace NAME|NUMBER [ARGUMENT]...", 1, 7, call_in_tracee, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
