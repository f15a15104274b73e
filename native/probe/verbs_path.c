/* Verbs that make, change and remove directory entries. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe.h"

#define RESULT(call) ((call) < 0 ? errno : 0)

static int stat_path(struct json *value, int argc, char **argv)
{
    (void)argc;
    return json_stat_path(value, argv[0]);
}

static int statfs_path(struct json *value, int argc, char **argv)
{
    (void)argc;
    size_t mark = value->used;
    json_open(value, '{');
    int error = statfs_keys(value, argv[0]);
    if (error)
        value->used = mark;
    else
        json_close(value, '}');
    return error;
}

static int optional_mode(int argc, char **argv, int at, uint64_t usual, uint64_t *mode)
{
    *mode = usual;
    return argc <= at || parse_octal(argv[at], mode) ? 0 : BAD_ARGUMENTS;
}

static int make_node(struct json *value, int argc, char **argv)
{
    static const struct name types[] = {{"c", S_IFCHR}, {"b", S_IFBLK},  {"p", S_IFIFO},
                                       {"s", S_IFSOCK}, {"f", S_IFREG}, {NULL, 0}};
    int64_t numbers[2] = {0, 0};
    uint64_t type, mode;
    (void)value;
    if (!parse_flags(types, argv[1], &type) || !type || optional_mode(argc, argv, 4, 0600, &mode) != 0)
        return BAD_ARGUMENTS;
    for (int i = 0; i < 2; i++)
        if (argc > 2 + i && !parse_integer(argv[2 + i], &numbers[i]))
            return BAD_ARGUMENTS;
    return RESULT(mknod(argv[0], (mode_t)(type | mode), makedev((unsigned)numbers[0], (unsigned)numbers[1])));
}

static int make_directory(struct json *value, int argc, char **argv)
{
    uint64_t mode;
    (void)value;
    if (optional_mode(argc, argv, 1, 0777, &mode) != 0)
        return BAD_ARGUMENTS;
    return RESULT(mkdir(argv[0], (mode_t)mode));
}

static int remove_file(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(unlink(argv[0]));
}

static int remove_directory(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(rmdir(argv[0]));
}

static int make_symlink(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(symlink(argv[0], argv[1]));
}

static int move(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(rename(argv[0], argv[1]));
}

static int change_mode(struct json *value, int argc, char **argv)
{
    uint64_t mode;
    (void)value, (void)argc;
    if (!parse_octal(argv[1], &mode))
        return BAD_ARGUMENTS;
    return RESULT(chmod(argv[0], (mode_t)mode));
}

static int change_owner(struct json *value, int argc, char **argv)
{
    int64_t uid, gid;
    (void)value, (void)argc;
    if (!parse_integer(argv[1], &uid) || !parse_integer(argv[2], &gid))
        return BAD_ARGUMENTS;
    return RESULT(lchown(argv[0], (uid_t)uid, (gid_t)gid));
}

static int change_directory(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(chdir(argv[0]));
}

static int change_root(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return RESULT(chroot(argv[0]));
}

const struct verb path_verbs[] = {
    {"stat", "stat PATH", 1, 1, stat_path, NULL},
    {"statfs", "statfs PATH", 1, 1, statfs_path, NULL},
    {"mknod", "mknod PATH c|b|p|s|f [MAJOR [MINOR [OCTAL-MODE]]]", 2, 5, make_node, NULL},
    {"mkdir", "mkdir PATH [OCTAL-MODE]", 1, 2, make_directory, NULL},
    {"unlink", "unlink PATH", 1, 1, remove_file, NULL},
    {"rmdir", "rmdir PATH", 1, 1, remove_directory, NULL},
    {"symlink", "symlink TEXT PATH", 2, 2, make_symlink, NULL},
    {"rename", "rename OLD NEW", 2, 2, move, NULL},
    {"chmod", "chmod PATH OCTAL-MODE", 2, 2, change_mode, NULL},
    {"chown", "chown PATH UID GID", 3, 3, change_owner, NULL},
    {"chdir", "chdir PATH", 1, 1, change_directory, NULL},
    {"chroot", "chroot PATH", 1, 1, change_root, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
