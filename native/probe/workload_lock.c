/* File locks, as another process meets them: flock(2), POSIX and open file description locks, fcntl(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define WHOLE WORKLOAD_DIRECTORY "/workload-flock"
#define RANGES WORKLOAD_DIRECTORY "/workload-posix"
#define DESCRIPTION WORKLOAD_DIRECTORY "/workload-ofd"

static int whole, ranges, description;

static int lock(int fd, int command, short type, off_t start, off_t length)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &wanted);
}

static int prepare(void)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC;
    TRY(whole = open(WHOLE, flags, 0600));
    TRY(ranges = open(RANGES, flags, 0600));
    TRY(description = open(DESCRIPTION, flags, 0600));
    TRY(flock(whole, LOCK_EX));
    TRY(lock(ranges, F_SETLK, F_WRLCK, 10, 20));
    TRY(lock(ranges, F_SETLK, F_RDLCK, 100, 50));
    TRY(lock(description, F_OFD_SETLK, F_WRLCK, 5, 6));
    return 0;
}

/* In a child, whose locks are others than ours. */
static void tell(int output)
{
    struct flock found[3] = {
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 50},
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 90, .l_len = 1000},
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100},
    };
    int one = open(WHOLE, O_RDWR | O_CLOEXEC), two = open(RANGES, O_RDWR | O_CLOEXEC);
    int three = open(DESCRIPTION, O_RDWR | O_CLOEXEC);
    int refused = flock(one, LOCK_SH | LOCK_NB) < 0 ? errno : 0;
    fcntl(two, F_GETLK, &found[0]);
    fcntl(two, F_GETLK, &found[1]);
    fcntl(three, F_OFD_GETLK, &found[2]);
    if (write(output, &refused, sizeof refused) > 0 && write(output, found, sizeof found) > 0)
        _exit(0);
    _exit(1);
}

static void state(struct json *json)
{
    static const char *const names[] = {"write", "read", "description"};
    int answer[2], refused = 0;
    struct flock found[3];
    memset(found, 0, sizeof found);
    if (pipe2(answer, O_CLOEXEC) < 0)
        return;
    pid_t child = fork();
    if (child == 0)
        tell(answer[1]);
    close(answer[1]);
    if (read(answer[0], &refused, sizeof refused) < 0 || read(answer[0], found, sizeof found) < 0)
        key_null(json, "unanswered");
    close(answer[0]);
    waitpid(child, NULL, 0);
    json_key(json, "flock");
    json_errno(json, refused);
    for (int i = 0; i < 3; i++) {
        json_key(json, names[i]);
        json_open(json, '{');
        key_string(json, "type", found[i].l_type == F_WRLCK ? "write" : found[i].l_type == F_RDLCK ? "read" : NULL);
        key_number(json, "start", found[i].l_start);
        key_number(json, "length", found[i].l_len);
        key_bool(json, "ours", found[i].l_pid == getpid());
        json_close(json, '}');
    }
}

const struct workload lock_workloads[] = {
    {"file-locks", prepare, state},
    {NULL, NULL, NULL},
};
