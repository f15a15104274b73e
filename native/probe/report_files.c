/* Open descriptors, standard streams, the terminal, and what is in /dev. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "directory.h"
#include "probe.h"

const char *file_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return "f";
    case S_IFDIR: return "d";
    case S_IFLNK: return "l";
    case S_IFCHR: return "c";
    case S_IFBLK: return "b";
    case S_IFIFO: return "p";
    case S_IFSOCK: return "s";
    default: return "?"; /* anonymous inodes have no type */
    }
}

void stat_keys(struct json *json, const struct stat *status)
{
    key_string(json, "type", file_type(status->st_mode));
    key_unsigned(json, "mode", status->st_mode & 07777);
    key_unsigned(json, "uid", status->st_uid);
    key_unsigned(json, "gid", status->st_gid);
    key_unsigned(json, "dev", status->st_dev);
    key_unsigned(json, "ino", status->st_ino);
    if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)) {
        key_unsigned(json, "major", major(status->st_rdev));
        key_unsigned(json, "minor", minor(status->st_rdev));
    }
}

static void key_times(struct json *json, const char *key, const struct timespec *time)
{
    key_number(json, key, (int64_t)time->tv_sec * 1000000000 + time->tv_nsec);
}

int json_stat_path(struct json *json, const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno;
    json_open(json, '{');
    stat_keys(json, &status);
    key_number(json, "size", status.st_size);
    key_unsigned(json, "nlink", status.st_nlink);
    key_times(json, "atime", &status.st_atim);
    key_times(json, "mtime", &status.st_mtim);
    key_times(json, "ctime", &status.st_ctim);
    if (S_ISLNK(status.st_mode)) {
        char text[4097];
        ssize_t length = readlink(path, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = 0;
        key_string(json, "text", length < 0 ? NULL : text);
        json_key(json, "follow");
        if (stat(path, &status) == 0) {
            json_open(json, '{');
            stat_keys(json, &status);
            json_close(json, '}');
        } else {
            json_null(json);
        }
    }
    json_key(json, "statfs");
    json_open(json, '{');
    statfs_keys(json, path);
    json_close(json, '}');
    json_close(json, '}');
    return 0;
}

int json_winsize(struct json *json, int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) {
        int error = errno;
        json_null(json);
        return error;
    }
    json_open(json, '[');
    json_unsigned(json, size.ws_row);
    json_unsigned(json, size.ws_col);
    json_close(json, ']');
    return 0;
}

static bool json_descriptor(struct json *json, int fd, int directory)
{
    int bits = fcntl(fd, F_GETFD);
    struct stat status;
    if (bits < 0)
        return false;
    char name[24], target[4097];
    ssize_t length = directory < 0 ? -1 : readlinkat(directory, decimal(name, fd), target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    json_open(json, '{');
    key_number(json, "fd", fd);
    key_string(json, "target", length < 0 ? NULL : target);
    if (fstat(fd, &status) == 0) {
        key_string(json, "type", file_type(status.st_mode));
        key_unsigned(json, "dev", status.st_dev);
        key_unsigned(json, "ino", status.st_ino);
    } else {
        key_null(json, "type");
        key_null(json, "dev");
        key_null(json, "ino");
    }
    key_count(json, "flags", fcntl(fd, F_GETFL));
    key_bool(json, "cloexec", bits & FD_CLOEXEC);
    json_close(json, '}');
    return true;
}

static bool descriptors_listed(struct json *json, int directory, int hidden)
{
    struct directory entries = {.fd = directory};
    for (const char *name = directory_next(&entries); name; name = directory_next(&entries)) {
        int fd = (int)strtol(name, NULL, 10);
        if (name[0] >= '0' && name[0] <= '9' && fd != directory && fd != hidden)
            json_descriptor(json, fd, directory);
    }
    return entries.used >= 0;
}

/* Without a procfs every number is tried up to a bound: targets are then unknown, and so is what lies above it. */
void json_descriptors(struct json *json)
{
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int hidden = output_descriptor() > 2 ? output_descriptor() : -1;
    json_open(json, '[');
    size_t mark = json->used;
    if (directory < 0 || !is_proc(directory) || !descriptors_listed(json, directory, hidden)) {
        json->used = mark;
        struct rlimit limit;
        int bound = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024 ? (int)limit.rlim_cur : 1024;
        for (int fd = 0; fd < bound; fd++)
            if (fd != directory && fd != hidden)
                json_descriptor(json, fd, -1);
    }
    json_close(json, ']');
    if (directory >= 0)
        close(directory);
}

static void standard_streams(struct json *json)
{
    json_key(json, "stdio");
    json_open(json, '[');
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (fstat(fd, &status) < 0) {
            json_null(json);
            continue;
        }
        json_open(json, '{');
        key_bool(json, "tty", S_ISCHR(status.st_mode) && isatty(fd));
        stat_keys(json, &status);
        json_key(json, "winsize");
        json_winsize(json, fd);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void devices(struct json *json)
{
    char path[300] = "/dev/", text[4097];
    struct directory entries = {.fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    json_key(json, "devices");
    if (entries.fd < 0) {
        json_null(json);
        return;
    }
    size_t mark = json->used;
    json_open(json, '{');
    for (const char *name = directory_next(&entries); name; name = directory_next(&entries)) {
        struct stat status;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (fstatat(entries.fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        path[5] = 0;
        strncat(path, name, 256);
        json_key(json, path);
        json_open(json, '{');
        stat_keys(json, &status);
        ssize_t length = S_ISLNK(status.st_mode) ? readlinkat(entries.fd, name, text, sizeof text - 1) : -1;
        text[length < 0 ? 0 : length] = 0;
        if (length >= 0)
            key_string(json, "text", text);
        json_close(json, '}');
    }
    json_close(json, '}');
    if (entries.used < 0) { /* half a list would be a wrong list */
        json->used = mark;
        json_null(json);
    }
    close(entries.fd);
}

/* tty_nr, the 7th field of /proc/self/stat (the 2nd may hold anything, its parenthesis is the last); else /dev/tty. */
static void controlling_terminal(struct json *json)
{
    char text[1024];
    char *rest = proc_read("/proc/self/stat", text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (rest) {
        for (int i = 0; i < 5 && rest; i++)
            next_field(&rest, ' ');
        key_bool(json, "controlling_tty", rest && strtol(rest, NULL, 10) != 0);
        return;
    }
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    key_bool(json, "controlling_tty", fd >= 0 && isatty(fd));
    if (fd >= 0)
        close(fd);
}

void report_files(struct json *json)
{
    json_key(json, "fds");
    json_descriptors(json);
    standard_streams(json);
    controlling_terminal(json);
    devices(json);
}
