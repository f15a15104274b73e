/* Namespaces, id maps, time offsets, host names, and the cgroup as it was at the first instruction. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"

void json_namespaces(struct json *json, const char *process)
{
    static const char *const names[] = {"mnt", "pid", "pid_for_children", "net", "uts", "ipc", "user", "cgroup", "time",
                                        "time_for_children"};
    char path[64] = "/proc/";
    strncat(path, process, 24);
    strcat(path, "/ns");
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0 && !is_proc(directory)) {
        close(directory);
        directory = -1;
    }
    json_open(json, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat status;
        if (directory >= 0 && fstatat(directory, names[i], &status, 0) == 0)
            key_unsigned(json, names[i], status.st_ino);
        else
            key_null(json, names[i]);
    }
    json_close(json, '}');
    if (directory >= 0)
        close(directory);
}

/* "monotonic  -3600  0" becomes "-3600 0" */
static void time_offsets(struct json *json)
{
    char text[256];
    const char *const clocks[] = {"monotonic", "boottime"};
    bool known = proc_read("/proc/self/timens_offsets", text, sizeof text) > 0;
    json_key(json, "timens");
    if (!known) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    for (int i = 0; i < 2; i++) {
        const char *line = strstr(text, clocks[i]);
        if (!line) {
            key_null(json, clocks[i]);
            continue;
        }
        char *rest;
        char offset[64];
        decimal(offset, strtoll(line + strlen(clocks[i]), &rest, 10));
        strcat(offset, " ");
        decimal(offset + strlen(offset), strtoll(rest, NULL, 10));
        key_string(json, clocks[i], offset);
    }
    json_close(json, '}');
}

static void host_names(struct json *json)
{
    struct utsname names;
    json_key(json, "uts");
    if (uname(&names) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    key_string(json, "sysname", names.sysname);
    key_string(json, "nodename", names.nodename);
    key_string(json, "release", names.release);
    key_string(json, "version", names.version);
    key_string(json, "machine", names.machine);
    key_string(json, "domainname", names.domainname);
    json_close(json, '}');
}

const char *first_cgroup_text(void)
{
    int fd = first_cgroup_known ? open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    bool trusted = fd >= 0 && is_proc(fd);
    if (fd >= 0)
        close(fd);
    return trusted ? first_cgroup : NULL;
}

static void cgroup(struct json *json)
{
    const char *first = first_cgroup_text();
    key_string(json, "first_cgroup", first);
    json_key(json, "cgroup");
    if (!first) {
        json_null(json);
        return;
    }
    static char text[sizeof first_cgroup];
    strcpy(text, first);
    json_open(json, '[');
    char *rest = text;
    for (char *line = next_line(&rest); line; line = next_line(&rest)) {
        const char *hierarchy = next_field(&line, ':');
        const char *controllers = next_field(&line, ':');
        if (!line)
            continue; /* not a complete line */
        json_open(json, '{');
        key_number(json, "hierarchy", strtol(hierarchy, NULL, 10));
        key_string(json, "controllers", controllers);
        key_string(json, "path", line);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void report_namespaces(struct json *json)
{
    json_key(json, "namespaces");
    json_namespaces(json, "self");
    key_proc_text(json, "uid_map", "/proc/self/uid_map");
    key_proc_text(json, "gid_map", "/proc/self/gid_map");
    key_proc_text(json, "setgroups", "/proc/self/setgroups");
    time_offsets(json);
    host_names(json);
    cgroup(json);
}
