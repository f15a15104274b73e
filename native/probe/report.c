/* `report`: one line that describes the process and its surroundings, schema seatrial.probe/1. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "probe.h"

extern char **environ;
static int process_argc;
static char **process_argv;

/* The C library calls constructors with main's arguments. */
__attribute__((constructor)) static void remember(int argc, char **argv)
{
    process_argc = argc;
    process_argv = argv;
}

void json_words(struct json *json, char **words)
{
    json_open(json, '[');
    while (words && *words)
        json_string(json, *words++);
    json_close(json, ']');
}

void process_words(struct json *json)
{
    json_key(json, "argv");
    json_open(json, '[');
    for (int i = 0; i < process_argc; i++)
        json_string(json, process_argv[i]);
    json_close(json, ']');
    json_key(json, "env");
    json_words(json, environ);
}

static void program(struct json *json)
{
    char path[4097], name[17] = "";
    process_words(json);
    key_string(json, "exe", proc_link("/proc/self/exe", path, sizeof path) >= 0 ? path : NULL);
    key_string(json, "comm", prctl(PR_GET_NAME, name, 0, 0, 0) == 0 ? name : NULL);
    json_key(json, "auxv");
    json_open(json, '{');
    key_bool(json, "secure", auxiliary(AT_SECURE));
    key_string(json, "execfn", (const char *)auxiliary(AT_EXECFN));
    json_close(json, '}');
}

/* sysctl(8)'s rule: the separator that comes first separates; where it is '.', a '/' stands for a dot. */
static void key_sysctl(struct json *json, const char *key)
{
    char path[512] = "/proc/sys/";
    size_t at = strlen(path), first = strcspn(key, "./");
    bool dotted = key[first] == '.';
    if (strlen(key) >= sizeof path - at) {
        key_null(json, key);
        return;
    }
    for (; *key; key++)
        path[at++] = dotted && *key == '.' ? '/' : dotted && *key == '/' ? '.' : *key;
    path[at] = 0;
    key_proc_text(json, key - (at - strlen("/proc/sys/")), path);
}

static void key_stat(struct json *json, const char *path)
{
    json_key(json, path);
    int error = json_stat_path(json, path);
    if (error == 0)
        return;
    json_open(json, '{');
    json_key(json, "errno");
    json_errno(json, error);
    json_close(json, '}');
}

/* The values of all options NAME in "report --sysctl KEY --stat PATH ..." as one object. */
static void extras(struct json *json, const char *key, const char *option, int argc, char **argv,
                   void (*add)(struct json *, const char *))
{
    json_key(json, key);
    json_open(json, '{');
    for (int i = 0; i + 1 < argc; i += 2)
        if (strcmp(argv[i], option) == 0)
            add(json, argv[i + 1]);
    json_close(json, '}');
}

static void take_options(int argc, char **argv)
{
    int64_t fd;
    for (int i = 0; i < argc; i += 2) {
        bool to = strcmp(argv[i], "--to") == 0, number = strcmp(argv[i], "--fd") == 0;
        bool known = to || number || strcmp(argv[i], "--sysctl") == 0 || strcmp(argv[i], "--stat") == 0;
        if (!known || i + 1 >= argc || (number && !parse_integer(argv[i + 1], &fd))) {
            refuse(argc + 1, argv - 1, report_verbs[0].usage);
            exit(STATUS_USAGE);
        }
        if (to && output_to_file(argv[i + 1]) != 0)
            exit(STATUS_OUTPUT);
        if (number)
            output_to_descriptor((int)fd);
    }
}

static void report(int argc, char **argv)
{
    static char room[1 << 18];
    struct json json;
    take_options(argc, argv);
    json_reset(&json, room, sizeof room);
    json_open(&json, '{');
    key_string(&json, "schema", "seatrial.probe/1");
    program(&json);
    report_identity(&json);
    report_limits(&json);
    report_scheduling(&json);
    report_security(&json);
    report_namespaces(&json);
    report_mounts(&json);
    report_files(&json);
    report_network(&json);
    extras(&json, "sysctl", "--sysctl", argc, argv, key_sysctl);
    extras(&json, "stat", "--stat", argc, argv, key_stat);
    json_close(&json, '}');
    output_line(&json);
    json_free(&json);
}

const struct verb report_verbs[] = {
    {"report", "report [--sysctl KEY]... [--stat PATH]... [--to FILE | --fd N]", 0, -1, NULL, report},
    {NULL, NULL, 0, 0, NULL, NULL},
};
