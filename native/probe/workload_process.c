/* Threads, a tree of processes, and the attributes of a process that other workloads leave alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

/* -- threads ------------------------------------------------------------------------------------------------------ */

#define THREADS 4

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned turn, answered;
static __thread uint64_t own;
static struct {
    long tid, nice;
    uint64_t own, blocked;
    char name[17];
} seen[THREADS];

/* Each has a name, a mask, a nice value and thread-local data of its own, and waits for its turn.  All but one signal is
 * blocked: those that other kinds keep pending for the process must not be taken here. */
static void *live(void *argument)
{
    long number = (long)argument;
    char name[16];
    uint64_t mask = ~(UINT64_C(1) << (40 + number));
    unsigned last = 0;
    own = 0x1000u + (unsigned)number;
    snprintf(name, sizeof name, "worker-%ld", number);
    prctl(PR_SET_NAME, name);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), (int)number + 2);
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (turn == last)
            pthread_cond_wait(&changed, &mutex);
        last = turn;
        seen[number].tid = syscall(SYS_gettid);
        seen[number].own = own;
        seen[number].nice = getpriority(PRIO_PROCESS, 0);
        syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &seen[number].blocked, sizeof seen[number].blocked);
        prctl(PR_GET_NAME, seen[number].name);
        answered++;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

static int prepare_threads(void)
{
    for (long number = 0; number < THREADS; number++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, live, (void *)number);
        if (error)
            return error;
    }
    return 0;
}

static void threads_state(struct json *json)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 10;
    pthread_mutex_lock(&mutex);
    memset(seen, 0, sizeof seen);
    answered = 0;
    turn++;
    pthread_cond_broadcast(&changed);
    while (answered < THREADS && pthread_cond_timedwait(&changed, &mutex, &limit) == 0)
        ;
    json_key(json, "threads");
    json_open(json, '[');
    for (int i = 0; i < THREADS; i++) {
        json_open(json, '{');
        key_number(json, "tid", seen[i].tid);
        key_string(json, "name", seen[i].name);
        key_unsigned(json, "own", seen[i].own);
        key_number(json, "nice", seen[i].nice);
        key_hex(json, "blocked", seen[i].blocked);
        json_close(json, '}');
    }
    json_close(json, ']');
    pthread_mutex_unlock(&mutex);
}

/* -- processes ---------------------------------------------------------------------------------------------------- */

static pid_t session_leader, grandchild, dead;

static _Noreturn void wait_for_ever(void)
{
    for (;;)
        pause();
}

static int prepare_processes(void)
{
    int ready[2];
    TRY(pipe2(ready, O_CLOEXEC));
    TRY(session_leader = fork());
    if (session_leader == 0) {
        setsid();
        prctl(PR_SET_NAME, "leader");
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            prctl(PR_SET_NAME, "grandchild");
            child = getpid();
            if (write(ready[1], &child, sizeof child) < 0)
                _exit(1);
            close(ready[1]);
        }
        close(ready[1]);
        close(ready[0]);
        wait_for_ever();
    }
    if (read(ready[0], &grandchild, sizeof grandchild) != sizeof grandchild)
        return EIO;
    close(ready[0]);
    close(ready[1]);
    TRY(dead = fork());
    if (dead == 0)
        _exit(37);
    siginfo_t information;
    TRY(waitid(P_PID, (id_t)dead, &information, WEXITED | WNOWAIT));
    return 0;
}

/* Name, state, parent, group and session, stat(5) of proc(5). */
static void key_process(struct json *json, const char *key, pid_t pid)
{
    char path[64], text[1024], name[64] = "", state = '?';
    int parent = -1, group = -1, session = -1;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    char *end = proc_read(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (end) {
        *end = 0;
        char *begin = strchr(text, '(');
        snprintf(name, sizeof name, "%s", begin ? begin + 1 : "");
        sscanf(end + 1, " %c %d %d %d", &state, &parent, &group, &session);
    }
    char letter[2] = {state == 'R' ? 'S' : state, 0}; /* running or about to wait */
    json_key(json, key);
    json_open(json, '{');
    key_number(json, "pid", pid);
    key_string(json, "name", name);
    key_string(json, "state", letter);
    key_number(json, "parent", parent);
    key_number(json, "group", group);
    key_number(json, "session", session);
    json_close(json, '}');
}

static void processes_state(struct json *json)
{
    siginfo_t information = {0};
    key_process(json, "leader", session_leader);
    key_process(json, "grandchild", grandchild);
    key_process(json, "dead", dead);
    int waited = waitid(P_PID, (id_t)dead, &information, WEXITED | WNOWAIT | WNOHANG);
    key_number(json, "exit_status", waited == 0 ? information.si_status : -1);
}

/* -- a process that is stopped ------------------------------------------------------------------------------------ */

static pid_t stopped;

static int prepare_stopped(void)
{
    siginfo_t information;
    TRY(stopped = fork());
    if (stopped == 0)
        wait_for_ever();
    TRY(kill(stopped, SIGSTOP));
    TRY(waitid(P_PID, (id_t)stopped, &information, WSTOPPED | WNOWAIT));
    return 0;
}

static void stopped_state(struct json *json)
{
    key_process(json, "stopped", stopped);
}

/* -- attributes --------------------------------------------------------------------------------------------------- */

#define PROCESSOR_TIME 98765 /* seconds: a soft limit that nobody reaches */

static int prepare_attributes(void)
{
    struct rlimit limit;
    TRY(prctl(PR_SET_NAME, "attributes"));
    umask(027);
    TRY(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 3));
    TRY(prctl(PR_SET_CHILD_SUBREAPER, 1));
    TRY(getrlimit(RLIMIT_CPU, &limit));
    limit.rlim_cur = PROCESSOR_TIME;
    TRY(setrlimit(RLIMIT_CPU, &limit));
    TRY(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}));
    TRY(mkdir(WORKLOAD_DIRECTORY "/workload-cwd", 0750));
    TRY(chdir(WORKLOAD_DIRECTORY "/workload-cwd"));
    TRY(setenv("WORKLOAD", "attributes", 1));
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    TRY(file);
    TRY(write(file, "321", 3));
    TRY(close(file));
    return 0;
}

/* What the report lacks; all else is there. */
static void attributes_state(struct json *json)
{
    char path[4096];
    key_count(json, "thp_disable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    key_string(json, "root", proc_link("/proc/self/root", path, sizeof path) >= 0 ? path : NULL);
}

/* -- a call that a filter may deny -------------------------------------------------------------------------------- */

static int prepare_call(void)
{
    return 0;
}

static void call_state(struct json *json)
{
    json_key(json, "setdomainname");
    json_errno(json, syscall(SYS_setdomainname, "workload", 8) < 0 ? errno : 0);
}

const struct workload process_workloads[] = {
    {"threads", prepare_threads, threads_state},
    {"processes", prepare_processes, processes_state},
    {"stopped-process", prepare_stopped, stopped_state},
    {"denied-call", prepare_call, call_state},
    {"attributes", prepare_attributes, attributes_state},
    {NULL, NULL, NULL},
};
