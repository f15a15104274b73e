/* The command line: actions between "--", each a verb and its arguments, each answered by one line. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "probe.h"

static const struct verb action_verbs[];
static const struct verb *const tables[] = {
    report_verbs, action_verbs, file_verbs, path_verbs, mount_verbs, process_verbs,
    signal_verbs, load_verbs, syscall_verbs, hook_verbs, descriptor_verbs, kernel_verbs, workload_verbs,
};

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct verb *verb = tables[i]; verb->name; verb++)
            if (strcmp(verb->name, name) == 0)
                return verb;
    return NULL;
}

static int list_verbs(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    json_open(value, '{');
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct verb *verb = tables[i]; verb->name; verb++)
            key_string(value, verb->name, verb->usage);
    json_close(value, '}');
    return 0;
}

static const struct verb action_verbs[] = {
    {"verbs", "verbs", 0, 0, list_verbs, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};

static void open_line(struct json *line, int argc, char **argv)
{
    json_open(line, '{');
    key_string(line, "verb", argc > 0 ? argv[0] : "");
    json_key(line, "args");
    json_open(line, '[');
    for (int i = 1; i < argc; i++)
        json_string(line, argv[i]);
    json_close(line, ']');
    json_key(line, "value");
}

static void close_line(struct json *line, int error, const char *complaint)
{
    if (line->used && line->text[line->used - 1] == ':')
        json_null(line); /* no value */
    key_bool(line, "ok", error == 0 && !complaint);
    json_key(line, "errno");
    json_errno(line, error);
    if (complaint)
        key_string(line, "error", complaint);
    json_close(line, '}');
    output_line(line);
    json_free(line);
}

/* NULL if the action can be tried. */
static const char *complaint_about(int argc, char **argv)
{
    const struct verb *verb = argc > 0 ? find(argv[0]) : NULL;
    if (!verb)
        return argc > 0 ? "unknown verb" : "empty action";
    if (argc - 1 < verb->least || (verb->most >= 0 && argc - 1 > verb->most))
        return verb->usage;
    return verb->run == in_child ? complaint_about(argc - 1, argv + 1) : NULL;
}

void run_action(int argc, char **argv)
{
    static char room[1 << 18]; /* only the pages in use cost anything */
    char small[4096];
    static int depth;
    const struct verb *verb = find(argv[0]);
    struct json line;
    int error = 0;
    depth++;
    if (verb->run) {
        json_reset(&line, depth == 1 ? room : small, depth == 1 ? sizeof room : sizeof small);
        open_line(&line, argc, argv);
        error = verb->run(&line, argc - 1, argv + 1);
        close_line(&line, error == BAD_ARGUMENTS ? 0 : error, error == BAD_ARGUMENTS ? verb->usage : NULL);
        if (error == BAD_ARGUMENTS)
            exit(STATUS_USAGE);
    }
    if (error == 0 && verb->after)
        verb->after(argc - 1, argv + 1);
    depth--;
}

void refuse(int argc, char **argv, const char *complaint)
{
    char room[8192];
    struct json line;
    json_reset(&line, room, sizeof room);
    open_line(&line, argc, argv);
    close_line(&line, 0, complaint);
}

/* Calls `each` for every action, until it returns false. */
static bool walk(int argc, char **argv, bool (*each)(int argc, char **argv))
{
    int start = 0;
    for (int i = 0; i <= argc; i++) {
        if (i < argc && strcmp(argv[i], "--") != 0)
            continue;
        if (!each(i - start, argv + start))
            return false;
        start = i + 1;
    }
    return true;
}

static bool check(int argc, char **argv)
{
    const char *complaint = complaint_about(argc, argv);
    if (complaint)
        refuse(argc, argv, complaint);
    return !complaint;
}

static bool run(int argc, char **argv)
{
    run_action(argc, argv);
    return true;
}

int run_actions(int argc, char **argv)
{
    /* All are checked before the first runs: a typing error must not look like a half-finished container. */
    if (!walk(argc, argv, check))
        return STATUS_USAGE;
    walk(argc, argv, run);
    return 0;
}
