/* Verbs that ask the kernel about this process. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include "probe.h"

static int keyring(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    size_t mark = value->used;
    json_open(value, '{');
    int error = keyring_keys(value);
    if (error)
        value->used = mark;
    else
        json_close(value, '}');
    return error;
}

static int prctl_get(struct json *value, int argc, char **argv)
{
    uint64_t option;
    (void)argc;
    if (!parse_flags(prctl_get_names, argv[0], &option))
        return BAD_ARGUMENTS;
    if (option == PR_GET_NAME) {
        char name[17] = "";
        if (prctl(PR_GET_NAME, name, 0, 0, 0) < 0)
            return errno;
        json_string(value, name);
        return 0;
    }
    int pointed = 0;
    bool by_pointer = option == PR_GET_PDEATHSIG || option == PR_GET_CHILD_SUBREAPER;
    int result = prctl((int)option, by_pointer ? (unsigned long)&pointed : 0, 0, 0, 0);
    if (result < 0)
        return errno;
    json_number(value, by_pointer ? pointed : result);
    return 0;
}

static int clocks(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    json_clocks(value);
    return 0;
}

const struct verb kernel_verbs[] = {
    {"keyring-describe", "keyring-describe", 0, 0, keyring, NULL},
    {"prctl-get", "prctl-get NAME", 1, 1, prctl_get, NULL},
    {"clocks", "clocks", 0, 0, clocks, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
