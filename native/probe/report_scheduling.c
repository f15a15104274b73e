/* Scheduling: policy, nice value, I/O priority, CPU affinity, NUMA memory policy. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

struct scheduling_attributes { /* sched_setattr(2), version of kernel 5.3 */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

static void scheduler(struct json *json)
{
    struct scheduling_attributes attributes = {0};
    json_key(json, "scheduler");
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    key_unsigned(json, "policy", attributes.policy);
    key_string(json, "policy_name", name_of(policy_names, attributes.policy));
    key_unsigned(json, "flags", attributes.flags);
    key_number(json, "nice", attributes.nice);
    key_unsigned(json, "priority", attributes.priority);
    key_unsigned(json, "runtime", attributes.runtime);
    key_unsigned(json, "deadline", attributes.deadline);
    key_unsigned(json, "period", attributes.period);
    key_unsigned(json, "util_min", attributes.util_min);
    key_unsigned(json, "util_max", attributes.util_max);
    json_close(json, '}');
}

static void nice_value(struct json *json)
{
    errno = 0;
    int value = getpriority(PRIO_PROCESS, 0); /* -1 is also a nice value */
    if (value == -1 && errno)
        key_null(json, "nice");
    else
        key_number(json, "nice", value);
}

static void io_priority(struct json *json, const char *key, int which)
{
    long value = syscall(SYS_ioprio_get, which, 0);
    json_key(json, key);
    if (value < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    key_number(json, "class", value >> 13);
    key_number(json, "level", value & 7);
    key_number(json, "raw", value);
    json_close(json, '}');
}

static void json_bits(struct json *json, const unsigned long *words, size_t count)
{
    const size_t width = 8 * sizeof *words;
    json_open(json, '[');
    for (size_t i = 0; i < count; i++)
        for (size_t bit = 0; words[i] >> bit && bit < width; bit++)
            if (words[i] >> bit & 1)
                json_unsigned(json, i * width + bit);
    json_close(json, ']');
}

static void affinity(struct json *json)
{
    unsigned long words[1024 / sizeof(unsigned long)] = {0}; /* 8192 CPUs */
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof words, words);
    json_key(json, "affinity");
    if (bytes < 0)
        json_null(json);
    else
        json_bits(json, words, (size_t)bytes / sizeof *words);
}

#define NODES 1024
#define MODE_FLAGS 0xe000 /* MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING */
#define MEMS_ALLOWED 4    /* MPOL_F_MEMS_ALLOWED */

static void memory_policy(struct json *json)
{
    static const char *const names[] = {
        "MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED_MANY",
        "MPOL_WEIGHTED_INTERLEAVE",
    };
    static const struct name flags[] = {
        {"MPOL_F_STATIC_NODES", 0x8000}, {"MPOL_F_RELATIVE_NODES", 0x4000}, {"MPOL_F_NUMA_BALANCING", 0x2000},
        {NULL, 0},
    };
    unsigned long nodes[NODES / 8 / sizeof(unsigned long)] = {0};
    unsigned mode = 0;
    json_key(json, "mempolicy");
    if (syscall(SYS_get_mempolicy, &mode, nodes, NODES, 0, 0) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    unsigned plain = mode & ~MODE_FLAGS;
    key_unsigned(json, "mode", plain);
    key_string(json, "mode_name", plain < sizeof names / sizeof *names ? names[plain] : NULL);
    json_key(json, "flags");
    json_flags(json, flags, mode);
    json_key(json, "nodes");
    json_bits(json, nodes, sizeof nodes / sizeof *nodes);
    json_key(json, "allowed_nodes");
    memset(nodes, 0, sizeof nodes);
    if (syscall(SYS_get_mempolicy, NULL, nodes, NODES, 0, MEMS_ALLOWED) < 0)
        json_null(json);
    else
        json_bits(json, nodes, sizeof nodes / sizeof *nodes);
    json_close(json, '}');
}

void report_scheduling(struct json *json)
{
    scheduler(json);
    nice_value(json);
    io_priority(json, "io_priority", 1);       /* IOPRIO_WHO_PROCESS */
    io_priority(json, "io_priority_group", 2); /* IOPRIO_WHO_PGRP */
    affinity(json);
    memory_policy(json);
    key_count(json, "timerslack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
}
