/* `workload`: sets up kinds of state, says so, and says the same again whenever it gets SIGUSR1. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define FAR_AWAY 500 /* as in output.c */
#define MOST_KINDS 64

static const struct workload *const tables[] = {
    memory_workloads, process_workloads, pipe_workloads,  event_workloads, unix_workloads, inet_workloads,
    file_workloads,   lock_workloads,    timer_workloads, signal_workloads, ipc_workloads,  terminal_workloads,
};
static const struct workload *chosen[MOST_KINDS];
static int errors[MOST_KINDS]; /* of their preparation */
static int count;
static unsigned answers;

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct workload *kind = tables[i]; kind->name; kind++)
            if (strcmp(kind->name, name) == 0)
                return kind;
    return NULL;
}

static int standard_streams_to_null(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    for (int stream = 0; stream < 3; stream++)
        TRY(dup2(fd, stream));
    return fd > 2 && close(fd) < 0 ? errno : 0;
}

/* The requests are blocked, so that none is lost between two waits. */
static sigset_t requests(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    return set;
}

static int prepare(struct json *value, int argc, char **argv)
{
    (void)value;
    int first = 1;
    bool streams = argc > 1 && strcmp(argv[1], "--streams") == 0;
    if (streams)
        first = 2;
    count = 0;
    for (int i = first; i < argc; i++) {
        const struct workload *kind = find(argv[i]);
        if (!kind || count == MOST_KINDS)
            return BAD_ARGUMENTS;
        chosen[count++] = kind;
    }
    sigset_t set = requests();
    TRY(sigprocmask(SIG_BLOCK, &set, NULL));
    int error = streams ? 0 : standard_streams_to_null(); /* before there are children that keep them */
    for (int i = 0; i < count; i++)
        errors[i] = chosen[i]->prepare();
    return error;
}

static void state_line(const struct workload *kind, int error)
{
    static char room[1 << 16];
    struct json line;
    json_reset(&line, room, sizeof room);
    json_open(&line, '{');
    key_string(&line, "verb", "workload");
    json_key(&line, "args");
    json_open(&line, '[');
    json_string(&line, kind->name);
    json_close(&line, ']');
    json_key(&line, "value");
    json_open(&line, '{');
    if (error == 0)
        kind->state(&line);
    json_close(&line, '}');
    key_bool(&line, "ok", error == 0);
    json_key(&line, "errno");
    json_errno(&line, error);
    json_close(&line, '}');
    output_line(&line);
    json_free(&line);
}

/* The report and the state of each kind as DIRECTORY/NUMBER, which appears when it is complete. */
static void answer(const char *directory)
{
    char path[4096], half[4096];
    snprintf(path, sizeof path, "%.4000s/%u", directory, ++answers);
    snprintf(half, sizeof half, "%.4000s/half", directory);
    int fd = open(half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), before = output_descriptor();
    if (fd < 0)
        return; /* whoever waits for the file will say so */
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FAR_AWAY);
    if (moved >= 0) {
        close(fd);
        fd = moved;
    }
    output_to_descriptor(fd);
    report_verbs[0].after(0, NULL);
    for (int i = 0; i < count; i++)
        state_line(chosen[i], errors[i]);
    output_to_descriptor(before);
    close(fd);
    if (rename(half, path) < 0)
        unlink(half);
}

static void serve(int argc, char **argv)
{
    (void)argc;
    sigset_t set = requests();
    answer(argv[0]);
    for (;;) {
        int number = sigwaitinfo(&set, NULL);
        if (number == SIGTERM)
            _exit(0);
        if (number == SIGUSR1)
            answer(argv[0]);
    }
}

const struct verb workload_verbs[] = {
    {"workload", "workload DIRECTORY [--streams] [KIND]...", 1, -1, prepare, serve},
    {NULL, NULL, 0, 0, NULL, NULL},
};
