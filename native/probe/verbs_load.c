/* Verbs that use up something: memory, processes, CPU time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

/* "64M" */
static bool parse_bytes(const char *text, uint64_t *bytes)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *bytes = strtoull(text, &end, 0);
    static const char units[] = "KMG";
    for (int i = 0; *end && units[i]; i++)
        if (*end == units[i]) {
            *bytes <<= 10 * (i + 1);
            end++;
        }
    return *end == 0 && *bytes > 0;
}

/* The memory stays until the process ends.  Pages get different content, or they would be merged or compressed away. */
static int memory(struct json *value, int argc, char **argv)
{
    uint64_t bytes;
    (void)argc;
    if (!parse_bytes(argv[0], &bytes))
        return BAD_ARGUMENTS;
    char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return errno;
    uint64_t mixed = 1;
    for (uint64_t at = 0; at < bytes; at += 4096) {
        mixed = mixed * 6364136223846793005u + 1442695040888963407u;
        *(volatile char *)(start + at) = (char)(mixed >> 33 | 1);
    }
    json_unsigned(value, bytes);
    return 0;
}

#define MOST_CHILDREN 65536

static int fork_many(struct json *value, int argc, char **argv)
{
    static pid_t children[MOST_CHILDREN];
    int64_t wanted;
    int count = 0, error = 0;
    (void)argc;
    if (!parse_integer(argv[0], &wanted) || wanted < 0 || wanted > MOST_CHILDREN)
        return BAD_ARGUMENTS;
    while (count < wanted) {
        pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0)
            for (;;)
                pause();
        children[count++] = child;
    }
    for (int i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
    json_number(value, count);
    return error;
}

static int cpu(struct json *value, int argc, char **argv)
{
    int64_t duration;
    (void)argc;
    if (!parse_seconds(argv[0], &duration))
        return BAD_ARGUMENTS;
    int64_t start = clock_nanoseconds(CLOCK_MONOTONIC), now, before = clock_nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    do
        now = clock_nanoseconds(CLOCK_MONOTONIC);
    while (now - start < duration);
    json_open(value, '{');
    key_number(value, "wall", now - start);
    key_number(value, "cpu", clock_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - before);
    json_close(value, '}');
    return 0;
}

#define CHURNED (1 << 20) /* bytes that each child touches */

/* Children one after the other, each of which allocates and ends, until the time is over; `path` has their number.
 * What fails, for a limit or a freeze may be why, is tried again. */
static void churn_until(const char *path, int64_t end)
{
    unsigned long count = 0;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    while (end < 0 || clock_nanoseconds(CLOCK_MONOTONIC) < end) {
        pid_t child = fork();
        if (child < 0)
            continue;
        if (child == 0) {
            char *room = mmap(NULL, CHURNED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            for (int at = 0; room != MAP_FAILED && at < CHURNED; at += 4096)
                *(volatile char *)(room + at) = 1;
            _exit(0);
        }
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        char text[24];
        int length = snprintf(text, sizeof text, "%020lu\n", ++count);
        if (pwrite(file, text, (size_t)length, 0) < 0)
            continue;
    }
    close(file);
}

static int prepare_churn(struct json *value, int argc, char **argv)
{
    int64_t duration;
    (void)value;
    if (argc > 1 && !parse_seconds(argv[1], &duration))
        return BAD_ARGUMENTS;
    return 0;
}

static void churn(int argc, char **argv)
{
    int64_t duration = -1;
    if (argc > 1 && parse_seconds(argv[1], &duration))
        duration += clock_nanoseconds(CLOCK_MONOTONIC);
    churn_until(argv[0], duration);
}

const struct verb load_verbs[] = {
    {"memory", "memory BYTES[K|M|G]", 1, 1, memory, NULL},
    {"fork", "fork COUNT", 1, 1, fork_many, NULL},
    {"cpu", "cpu SECONDS", 1, 1, cpu, NULL},
    {"churn", "churn PATH [SECONDS]", 1, 2, prepare_churn, churn},
    {NULL, NULL, 0, 0, NULL, NULL},
};
