/* Resource limits, OOM score, personality, and clocks. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

int64_t clock_nanoseconds(int clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) < 0)
        return -1;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void json_clocks(struct json *json)
{
    json_open(json, '{');
    key_number(json, "monotonic", clock_nanoseconds(CLOCK_MONOTONIC));
    key_number(json, "boottime", clock_nanoseconds(CLOCK_BOOTTIME));
    key_number(json, "realtime", clock_nanoseconds(CLOCK_REALTIME));
    json_close(json, '}');
}

static void resource_limits(struct json *json)
{
    json_key(json, "rlimits");
    json_open(json, '{');
    for (const struct name *limit = rlimit_names; limit->name; limit++) {
        struct rlimit pair;
        json_key(json, limit->name);
        if (getrlimit((__rlimit_resource_t)limit->value, &pair) < 0) {
            json_null(json);
            continue;
        }
        json_open(json, '[');
        json_unsigned(json, pair.rlim_cur);
        json_unsigned(json, pair.rlim_max);
        json_close(json, ']');
    }
    json_close(json, '}');
}

void report_limits(struct json *json)
{
    char text[32];
    resource_limits(json);
    if (proc_read("/proc/self/oom_score_adj", text, sizeof text) > 0)
        key_number(json, "oom_score_adj", strtol(text, NULL, 10));
    else
        key_null(json, "oom_score_adj");
    key_count(json, "personality", personality(0xffffffff));
    json_key(json, "clocks");
    json_clocks(json);
}
