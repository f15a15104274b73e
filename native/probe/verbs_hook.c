/* state-to: what a hook runs to record the state on its stdin and the place that it was run in. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

/* The value of the top-level member "pid" of a JSON object, or -1: enough of a scanner to skip strings and nesting. */
static long state_pid(const char *text)
{
    int depth = 0;
    while (*text) {
        if (*text == '{' || *text == '[')
            depth++;
        if (*text == '}' || *text == ']')
            depth--;
        if (*text != '"') {
            text++;
            continue;
        }
        const char *start = ++text;
        while (*text && *text != '"')
            text += text[0] == '\\' && text[1] ? 2 : 1;
        size_t length = (size_t)(text - start);
        text += *text == '"';
        const char *after = text + strspn(text, " \t\r\n");
        if (depth == 1 && length == 3 && strncmp(start, "pid", 3) == 0 && *after == ':')
            return strtol(after + 1, NULL, 10);
    }
    return -1;
}

static void key_process_text(struct json *json, const char *key, const char *process, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", process, file);
    key_proc_text(json, key, path);
}

static void key_process_link(struct json *json, const char *key, const char *process, const char *file)
{
    char path[64], target[4097];
    snprintf(path, sizeof path, "/proc/%s/%s", process, file);
    key_string(json, key, proc_link(path, target, sizeof target) < 0 ? NULL : target);
}

/* The process that the state names, as seen from the hook. */
static void container(struct json *json, const char *state)
{
    char process[24];
    long pid = state_pid(state);
    json_key(json, "container");
    if (pid <= 0) {
        json_null(json);
        return;
    }
    decimal(process, pid);
    json_open(json, '{');
    key_number(json, "pid", pid);
    json_key(json, "namespaces");
    json_namespaces(json, process);
    key_process_link(json, "root", process, "root");
    key_process_link(json, "exe", process, "exe");
    key_process_text(json, "cgroup", process, "cgroup");
    key_process_text(json, "mountinfo", process, "mountinfo");
    json_close(json, '}');
}

static void place(struct json *json, const char *key, const char *path)
{
    struct stat status;
    json_key(json, key);
    if (stat(path, &status) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    stat_keys(json, &status);
    json_close(json, '}');
}

static void record(struct json *json, const char *hook, const char *state, size_t length)
{
    static char directory[1 << 16];
    json_open(json, '{');
    key_string(json, "hook", hook);
    key_number(json, "time", clock_nanoseconds(CLOCK_MONOTONIC));
    json_key(json, "state");
    json_bytes(json, state, length);
    key_number(json, "pid", getpid());
    key_string(json, "cwd", getcwd(directory, sizeof directory));
    process_words(json);
    json_key(json, "namespaces");
    json_namespaces(json, "self");
    key_string(json, "cgroup", first_cgroup_text());
    key_process_text(json, "mountinfo", "self", "mountinfo");
    place(json, "root", "/");
    place(json, "cwd_stat", ".");
    container(json, state);
    json_close(json, '}');
    json_close(json, '\n');
}

static int put_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        bytes += count;
        length -= (size_t)count;
    }
    return 0;
}

/* O_APPEND and a single write: hooks that run at once do not mix their lines. */
static int append_record(const char *path, const char *hook, const char *state, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return errno;
    struct json json;
    json_reset(&json, NULL, 0);
    record(&json, hook, state, length);
    int error = json.overflow ? ENOMEM : put_all(fd, json.text, json.used);
    json_free(&json);
    close(fd);
    return error;
}

static int replace_file(const char *path, const char *state, size_t length)
{
    char temporary[4200];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%d", path, getpid()) >= sizeof temporary)
        return ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = put_all(fd, state, length);
    close(fd);
    if (!error && rename(temporary, path) < 0)
        error = errno;
    if (error)
        unlink(temporary);
    return error;
}

static int state_to(struct json *value, int argc, char **argv)
{
    bool appending = strcmp(argv[0], "--append") == 0;
    if (appending ? argc < 2 : argc != 1)
        return BAD_ARGUMENTS;
    signal(SIGPIPE, SIG_IGN); /* a hook must not die because nobody reads its stdout */
    ssize_t length = read_descriptor(STDIN_FILENO, scratch, sizeof scratch);
    if (length < 0)
        return errno;
    json_number(value, length);
    if (appending)
        return append_record(argv[1], argc > 2 ? argv[2] : NULL, scratch, (size_t)length);
    return replace_file(argv[0], scratch, (size_t)length);
}

const struct verb hook_verbs[] = {
    {"state-to", "state-to FILE | state-to --append FILE [NAME]", 1, 3, state_to, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
