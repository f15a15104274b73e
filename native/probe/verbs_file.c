/* Verbs that read and write files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "directory.h"
#include "probe.h"

static int read_text(struct json *value, int argc, char **argv)
{
    int64_t most = 65536;
    if (argc > 1 && (!parse_integer(argv[1], &most) || most < 0 || most >= (int64_t)sizeof scratch))
        return BAD_ARGUMENTS;
    ssize_t length = read_file(argv[0], scratch, (size_t)most + 1);
    if (length < 0)
        return errno;
    json_bytes(value, scratch, (size_t)length);
    return 0;
}

static int write_text(struct json *value, const char *path, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0666);
    if (fd < 0)
        return errno;
    ssize_t count = write(fd, text, strlen(text)); /* one write: control files take no less */
    int error = count < 0 ? errno : 0;
    if (close(fd) < 0 && !error)
        error = errno;
    if (!error)
        json_number(value, count);
    return error;
}

static int write_file(struct json *value, int argc, char **argv)
{
    (void)argc;
    return write_text(value, argv[0], argv[1], O_CREAT | O_TRUNC);
}

static int append(struct json *value, int argc, char **argv)
{
    (void)argc;
    return write_text(value, argv[0], argv[1], O_CREAT | O_APPEND);
}

static int open_file(struct json *value, int argc, char **argv)
{
    uint64_t flags;
    (void)argc;
    if (!parse_flags(open_flag_names, argv[1], &flags))
        return BAD_ARGUMENTS;
    int fd = open(argv[0], (int)flags | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return errno;
    struct stat status;
    if (fstat(fd, &status) == 0) {
        json_open(value, '{');
        stat_keys(value, &status);
        json_close(value, '}');
    }
    close(fd);
    return 0;
}

static int touch(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    int fd = open(argv[0], O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (fd < 0)
        return errno;
    int error = futimens(fd, NULL) < 0 ? errno : 0;
    close(fd);
    return error;
}

static int list(struct json *value, int argc, char **argv)
{
    (void)argc;
    struct directory entries = {.fd = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (entries.fd < 0)
        return errno;
    json_open(value, '[');
    for (const char *name = directory_next(&entries); name; name = directory_next(&entries))
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            json_string(value, name);
    json_close(value, ']');
    int error = entries.used < 0 ? errno : 0;
    close(entries.fd);
    return error;
}

static int link_text(struct json *value, int argc, char **argv)
{
    char text[4097];
    (void)argc;
    ssize_t length = readlink(argv[0], text, sizeof text);
    if (length < 0)
        return errno;
    json_bytes(value, text, (size_t)length);
    return 0;
}

static int attribute(struct json *value, int argc, char **argv)
{
    char text[4096];
    (void)argc;
    ssize_t length = lgetxattr(argv[0], argv[1], text, sizeof text);
    if (length < 0)
        return errno;
    json_bytes(value, text, (size_t)length);
    return 0;
}

static int64_t access_time(const char *path)
{
    struct stat status;
    return stat(path, &status) < 0 ? -1 : (int64_t)status.st_atim.tv_sec * 1000000000 + status.st_atim.tv_nsec;
}

/* File times advance in steps of a clock tick, at most 10 ms. */
static int atime_check(struct json *value, int argc, char **argv)
{
    int64_t seen[3];
    char byte[2];
    (void)argc;
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            nanosleep(&(struct timespec){0, 21000000}, NULL);
            if (read_file(argv[0], byte, sizeof byte) < 0)
                return errno;
        }
        seen[i] = access_time(argv[0]);
        if (seen[i] == -1)
            return errno;
    }
    json_open(value, '{');
    json_key(value, "times");
    json_open(value, '[');
    for (int i = 0; i < 3; i++)
        json_number(value, seen[i]);
    json_close(value, ']');
    key_bool(value, "first", seen[1] != seen[0]);
    key_bool(value, "second", seen[2] != seen[1]);
    json_close(value, '}');
    return 0;
}

static int wait_file(struct json *value, int argc, char **argv)
{
    int64_t most = 10000000000;
    if (argc > 1 && !parse_seconds(argv[1], &most))
        return BAD_ARGUMENTS;
    int64_t start = clock_nanoseconds(CLOCK_MONOTONIC);
    while (access(argv[0], F_OK) < 0) {
        if (errno != ENOENT)
            return errno;
        if (clock_nanoseconds(CLOCK_MONOTONIC) - start >= most)
            return ETIMEDOUT;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    json_number(value, clock_nanoseconds(CLOCK_MONOTONIC) - start);
    return 0;
}

const struct verb file_verbs[] = {
    {"read", "read PATH [MOST]", 1, 2, read_text, NULL},
    {"write", "write PATH TEXT", 2, 2, write_file, NULL},
    {"append", "append PATH TEXT", 2, 2, append, NULL},
    {"open", "open PATH FLAG[,FLAG]...", 2, 2, open_file, NULL},
    {"touch", "touch PATH", 1, 1, touch, NULL},
    {"list", "list PATH", 1, 1, list, NULL},
    {"readlink", "readlink PATH", 1, 1, link_text, NULL},
    {"getxattr", "getxattr PATH NAME", 2, 2, attribute, NULL},
    {"atime-check", "atime-check PATH", 1, 1, atime_check, NULL},
    {"wait-file", "wait-file PATH [SECONDS]", 1, 2, wait_file, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
