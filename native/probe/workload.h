/* Kinds of state that the verb `workload` sets up and later looks at again, for checkpoint and restore. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "json.h"

/* `prepare` returns 0 or an errno.  `state` appends keys to the open object: what it finds has to be the same each time
 * it is called, whatever happened to the process in between.  It may use things up if it puts them back. */
struct workload {
    const char *name;
    int (*prepare)(void);
    void (*state)(struct json *json);
};

extern const struct workload memory_workloads[], process_workloads[], pipe_workloads[], event_workloads[],
    unix_workloads[], inet_workloads[], file_workloads[], lock_workloads[], timer_workloads[], signal_workloads[],
    ipc_workloads[], terminal_workloads[];

#define TRY(call)        \
    do {                 \
        if ((call) < 0)  \
            return errno; \
    } while (0)

#define WORKLOAD_DIRECTORY "/tmp" /* where kinds make their files, in the container */

void fill(void *start, size_t size, uint64_t seed);    /* bytes that follow from the seed */
uint64_t checksum(const void *start, size_t size);     /* FNV-1a */
void key_sum(struct json *json, const char *key, const void *start, size_t size);
void key_flags(struct json *json, const char *key, int fd); /* F_GETFL and FD_CLOEXEC */
/* The numbers that follow "NAME:" at the beginning of lines of /proc/self/fdinfo/FD, or -1. */
int64_t fdinfo_number(int fd, const char *name, int base);
/* Reads what is there, appends its length and sum as `key`, and writes it back. */
void key_refilled(struct json *json, const char *key, int from, int to);
