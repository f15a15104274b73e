/* Open files: offsets, flags, shared descriptions, files and directories without a name. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define PATH(name) WORKLOAD_DIRECTORY "/workload-" name

static int made(const char *path, int flags, size_t size, uint64_t seed)
{
    static char bytes[8192];
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    fill(bytes, size, seed);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        return -1;
    return fd;
}

static void key_file(struct json *json, const char *key, int fd)
{
    static char bytes[8192];
    struct stat status = {0};
    fstat(fd, &status);
    ssize_t got = pread(fd, bytes, sizeof bytes, 0);
    json_key(json, key);
    json_open(json, '{');
    key_number(json, "offset", lseek(fd, 0, SEEK_CUR));
    key_number(json, "size", status.st_size);
    key_number(json, "links", (int64_t)status.st_nlink);
    key_number(json, "mode", status.st_mode);
    key_hex(json, "sum", got < 0 ? 0 : checksum(bytes, (size_t)got));
    key_flags(json, "flags", fd);
    json_close(json, '}');
}

/* -- with a name -------------------------------------------------------------------------------------------------- */

static int plain, appended, reader, directory, only_path, shared;

static int prepare_files(void)
{
    TRY(plain = made(PATH("plain"), O_RDWR, 5000, 1));
    TRY(lseek(plain, 1234, SEEK_SET));
    TRY(appended = made(PATH("appended"), O_RDWR | O_APPEND, 100, 2));
    TRY(reader = open(PATH("plain"), O_RDONLY | O_NOATIME));
    TRY(lseek(reader, 99, SEEK_SET));
    TRY(shared = fcntl(reader, F_DUPFD, 200));
    TRY(directory = open(WORKLOAD_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    TRY(only_path = open(PATH("plain"), O_PATH | O_CLOEXEC));
    return 0;
}

static void files_state(struct json *json)
{
    key_file(json, "plain", plain);
    key_file(json, "appended", appended);
    key_file(json, "reader", reader);
    key_flags(json, "path_flags", only_path);
    /* Two descriptors of one description: what moves one moves the other. */
    off_t before = lseek(reader, 0, SEEK_CUR);
    lseek(reader, 77, SEEK_SET);
    key_number(json, "shared_offset", lseek(shared, 0, SEEK_CUR));
    lseek(reader, before, SEEK_SET);
    struct stat status;
    key_bool(json, "path_works", fstatat(only_path, "", &status, AT_EMPTY_PATH) == 0 && status.st_size == 5000);
    key_bool(json, "directory_works", faccessat(directory, "workload-plain", R_OK, 0) == 0);
}

/* -- without one -------------------------------------------------------------------------------------------------- */

static int unlinked, replaced, no_directory, twice;

static int prepare_unlinked(void)
{
    TRY(unlinked = made(PATH("unlinked"), O_RDWR, 6000, 3));
    TRY(twice = open(PATH("unlinked"), O_RDONLY | O_CLOEXEC));
    TRY(lseek(unlinked, 321, SEEK_SET));
    TRY(unlink(PATH("unlinked")));
    TRY(replaced = made(PATH("replaced"), O_RDWR, 700, 4));
    TRY(unlink(PATH("replaced")));
    int other = made(PATH("replaced"), O_WRONLY, 10, 5); /* another file has its name now */
    TRY(other);
    TRY(close(other));
    TRY(mkdir(PATH("removed"), 0700));
    TRY(no_directory = open(PATH("removed"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    TRY(rmdir(PATH("removed")));
    return 0;
}

static void unlinked_state(struct json *json)
{
    struct stat one = {0}, two = {0};
    key_file(json, "unlinked", unlinked);
    key_file(json, "twice", twice);
    key_file(json, "replaced", replaced);
    key_bool(json, "same_file", fstat(unlinked, &one) == 0 && fstat(twice, &two) == 0 && one.st_ino == two.st_ino);
    key_bool(json, "name_is_gone", access(PATH("unlinked"), F_OK) < 0 && errno == ENOENT);
    key_bool(json, "directory", fstat(no_directory, &one) == 0 && S_ISDIR(one.st_mode));
    key_bool(json, "directory_is_gone", access(PATH("removed"), F_OK) < 0 && errno == ENOENT);
    key_number(json, "successor", stat(PATH("replaced"), &two) == 0 ? two.st_size : -1);
}

/* -- with another name than that by which it was opened ------------------------------------------------------------ */

static int linked;

static int prepare_linked(void)
{
    TRY(linked = made(PATH("first"), O_RDWR, 900, 6));
    TRY(link(PATH("first"), PATH("second")));
    TRY(unlink(PATH("first")));
    return 0;
}

static void linked_state(struct json *json)
{
    struct stat one = {0}, two = {0};
    key_file(json, "linked", linked);
    key_bool(json, "name_is_gone", access(PATH("first"), F_OK) < 0 && errno == ENOENT);
    key_bool(json, "same_file",
             fstat(linked, &one) == 0 && stat(PATH("second"), &two) == 0 && one.st_ino == two.st_ino);
}

const struct workload file_workloads[] = {
    {"files", prepare_files, files_state},
    {"unlinked-files", prepare_unlinked, unlinked_state},
    {"linked-file", prepare_linked, linked_state},
    {NULL, NULL, NULL},
};
