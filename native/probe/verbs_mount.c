/* Verbs for mounts and namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "probe.h"

#define RESULT(call) ((call) < 0 ? errno : 0)

/* "-" stands for no argument (NULL) at all. */
static const char *word(const char *text)
{
    return strcmp(text, "-") == 0 ? NULL : text;
}

static int mount_path(struct json *value, int argc, char **argv)
{
    uint64_t flags = 0;
    (void)value;
    if (argc > 3 && !parse_flags(mount_flag_names, argv[3], &flags))
        return BAD_ARGUMENTS;
    const char *type = argc > 2 ? word(argv[2]) : NULL, *data = argc > 4 ? word(argv[4]) : NULL;
    return RESULT(mount(word(argv[0]), argv[1], type, flags, data));
}

static int umount_path(struct json *value, int argc, char **argv)
{
    uint64_t flags = 0;
    (void)value;
    if (argc > 1 && !parse_flags(umount_flag_names, argv[1], &flags))
        return BAD_ARGUMENTS;
    return RESULT(umount2(argv[0], (int)flags));
}

static int mounts_at(struct json *value, int argc, char **argv)
{
    (void)argc;
    json_mounts(value, argv[0]);
    return 0;
}

static int join(struct json *value, int argc, char **argv)
{
    uint64_t type = 0;
    (void)value;
    if (argc > 1 && !parse_flags(clone_flag_names, argv[1], &type))
        return BAD_ARGUMENTS;
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno;
    int error = RESULT(setns(fd, (int)type));
    close(fd);
    return error;
}

static int leave(struct json *value, int argc, char **argv)
{
    uint64_t flags;
    (void)value, (void)argc;
    if (!parse_flags(clone_flag_names, argv[0], &flags))
        return BAD_ARGUMENTS;
    return RESULT(unshare((int)flags));
}

static int set_host_name(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(sethostname(argv[0], strlen(argv[0])));
}

static int set_domain_name(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(setdomainname(argv[0], strlen(argv[0])));
}

static int namespaces(struct json *value, int argc, char **argv)
{
    int64_t pid;
    if (argc > 0 && strcmp(argv[0], "self") != 0 && !parse_integer(argv[0], &pid))
        return BAD_ARGUMENTS;
    json_namespaces(value, argc > 0 ? argv[0] : "self");
    return 0;
}

const struct verb mount_verbs[] = {
    {"mount", "mount SOURCE TARGET [TYPE [FLAGS [DATA]]]", 2, 5, mount_path, NULL},
    {"umount", "umount PATH [FLAGS]", 1, 2, umount_path, NULL},
    {"mounts-at", "mounts-at PATH", 1, 1, mounts_at, NULL},
    {"namespaces", "namespaces [PID]", 0, 1, namespaces, NULL},
    {"setns", "setns PATH [TYPE]", 1, 2, join, NULL},
    {"unshare", "unshare FLAG[,FLAG]...", 1, 1, leave, NULL},
    {"sethostname", "sethostname NAME", 1, 1, set_host_name, NULL},
    {"hostname", "hostname NAME", 1, 1, set_host_name, NULL},
    {"setdomainname", "setdomainname NAME", 1, 1, set_domain_name, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
