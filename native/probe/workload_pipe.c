/* Pipes and FIFOs with bytes in them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define FIFO WORKLOAD_DIRECTORY "/workload-fifo"
#define LARGE (1 << 17)

static int data[2], large[2], closed[2], again, fifo;

static int put(int fd, size_t size, uint64_t seed)
{
    static char bytes[LARGE];
    fill(bytes, size, seed);
    return write(fd, bytes, size) == (ssize_t)size ? 0 : EIO;
}

static int prepare(void)
{
    TRY(pipe2(data, O_CLOEXEC));
    TRY(pipe2(large, O_NONBLOCK));
    TRY(pipe2(closed, 0));
    TRY(again = fcntl(data[1], F_DUPFD, 100));
    TRY(fcntl(large[1], F_SETPIPE_SZ, LARGE));
    TRY(mkfifo(FIFO, 0640));
    TRY(fifo = open(FIFO, O_RDWR | O_CLOEXEC));
    int error = put(data[1], 1000, 1);
    if (!error)
        error = put(large[1], LARGE - 4096, 2);
    if (!error)
        error = put(closed[1], 10, 3);
    if (!error)
        error = put(fifo, 500, 4);
    TRY(close(closed[1])); /* ten bytes and then the end */
    return error;
}

static void state(struct json *json)
{
    char rest[11];
    key_refilled(json, "data", data[0], again);
    key_refilled(json, "large", large[0], large[1]);
    key_refilled(json, "fifo", fifo, fifo);
    key_count(json, "capacity", fcntl(large[0], F_GETPIPE_SZ));
    key_flags(json, "data_flags", data[0]);
    key_flags(json, "again_flags", again);
    key_flags(json, "large_flags", large[1]);
    key_flags(json, "fifo_flags", fifo);
    /* What was read cannot be put back: another pipe takes its place. */
    ssize_t got = read(closed[0], rest, sizeof rest);
    key_number(json, "closed", got);
    key_number(json, "end", read(closed[0], rest + 10, 1));
    int anew[2];
    if (got > 0 && pipe2(anew, 0) == 0) {
        if (write(anew[1], rest, (size_t)got) == got)
            dup2(anew[0], closed[0]);
        close(anew[0]);
        close(anew[1]);
    }
}

const struct workload pipe_workloads[] = {
    {"pipes", prepare, state},
    {NULL, NULL, NULL},
};
