/* Where lines go.  The descriptor is moved out of the way, so that a report shows the container's descriptors only. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

#define FAR_AWAY 500 /* below the usual RLIMIT_NOFILE, above what callers preserve */

static int output = STDOUT_FILENO;

int output_to_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return errno;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FAR_AWAY);
    if (moved >= 0) {
        close(fd);
        fd = moved;
    }
    output = fd;
    return 0;
}

void output_to_descriptor(int fd)
{
    output = fd;
}

int output_descriptor(void)
{
    return output;
}

void output_line(struct json *line)
{
    static const char overflow[] = "{\"verb\":null,\"args\":[],\"value\":null,\"ok\":false,\"errno\":\"EOVERFLOW\","
                                   "\"error\":\"line too long\"}\n";
    json_close(line, '\n');
    const char *text = line->overflow ? overflow : line->text;
    size_t left = line->overflow ? sizeof overflow - 1 : line->used;
    while (left > 0) {
        ssize_t count = write(output, text, left);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return; /* nobody can be told */
        text += count;
        left -= (size_t)count;
    }
}
