/* What the kinds of workload share: patterns, checksums, what /proc says about a descriptor. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

void fill(void *start, size_t size, uint64_t seed)
{
    unsigned char *bytes = start;
    for (size_t at = 0; at < size; at++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[at] = (unsigned char)(seed >> 56);
    }
}

uint64_t checksum(const void *start, size_t size)
{
    const unsigned char *bytes = start;
    uint64_t sum = 14695981039346656037u;
    for (size_t at = 0; at < size; at++)
        sum = (sum ^ bytes[at]) * 1099511628211u;
    return sum;
}

void key_sum(struct json *json, const char *key, const void *start, size_t size)
{
    key_hex(json, key, checksum(start, size));
}

void key_flags(struct json *json, const char *key, int fd)
{
    json_key(json, key);
    json_open(json, '{');
    key_count(json, "status", fcntl(fd, F_GETFL));
    key_count(json, "descriptor", fcntl(fd, F_GETFD));
    json_close(json, '}');
}

int64_t fdinfo_number(int fd, const char *name, int base)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    if (proc_read(path, text, sizeof text) < 0)
        return -1;
    char *rest = text;
    size_t length = strlen(name);
    for (char *line = next_line(&rest); line; line = next_line(&rest))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return strtoll(line + length + 1, NULL, base);
    return -1;
}

void key_refilled(struct json *json, const char *key, int from, int to)
{
    static char bytes[1 << 18];
    int flags = fcntl(from, F_GETFL);
    size_t used = 0;
    ssize_t got;
    fcntl(from, F_SETFL, flags | O_NONBLOCK);
    while (used < sizeof bytes && (got = read(from, bytes + used, sizeof bytes - used)) > 0)
        used += (size_t)got;
    fcntl(from, F_SETFL, flags);
    size_t put = 0;
    while (put < used && (got = write(to, bytes + put, used - put)) > 0)
        put += (size_t)got;
    json_key(json, key);
    json_open(json, '{');
    key_unsigned(json, "length", used);
    key_sum(json, "sum", bytes, used);
    json_close(json, '}');
}
