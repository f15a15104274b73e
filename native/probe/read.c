/* Reading files that may be missing, masked, hostile or endless. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "probe.h"

char scratch[1 << 20];

bool is_proc(int fd)
{
    struct statfs filesystem;
    return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == PROC_SUPER_MAGIC;
}

ssize_t read_descriptor(int fd, char *buffer, size_t size)
{
    size_t used = 0;
    while (used < size - 1) {
        ssize_t count = read(fd, buffer + used, size - 1 - used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && used == 0)
            return -1;
        if (count <= 0)
            break;
        used += (size_t)count;
    }
    buffer[used] = 0;
    return (ssize_t)used;
}

static ssize_t read_opened(int fd, char *buffer, size_t size, bool procfs_only)
{
    if (fd < 0)
        return -1;
    ssize_t length = procfs_only && !is_proc(fd) ? -1 : read_descriptor(fd, buffer, size);
    int error = errno;
    close(fd);
    errno = error;
    return length;
}

ssize_t read_file(const char *path, char *buffer, size_t size)
{
    return read_opened(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), buffer, size, false);
}

ssize_t proc_read(const char *path, char *buffer, size_t size)
{
    return read_opened(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), buffer, size, true);
}

ssize_t proc_link(const char *path, char *buffer, size_t size)
{
    /* The link itself, not what it points to, has to be in a procfs. */
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = is_proc(fd) ? readlinkat(fd, "", buffer, size - 1) : -1;
    close(fd);
    if (length >= 0)
        buffer[length] = 0;
    return length;
}

const char *status_field(const char *name, char *buffer, size_t size)
{
    static char status[8192];
    static ssize_t known = -2;
    if (known == -2)
        known = proc_read("/proc/self/status", status, sizeof status);
    size_t length = strlen(name);
    for (const char *line = known > 0 ? status : NULL; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *value = line + length + 1;
        value += strspn(value, " \t");
        size_t used = strcspn(value, "\n");
        if (used >= size)
            return NULL;
        memcpy(buffer, value, used);
        buffer[used] = 0;
        return buffer;
    }
    return NULL;
}

void key_proc_text(struct json *json, const char *key, const char *path)
{
    static char text[1 << 16];
    ssize_t length = proc_read(path, text, sizeof text);
    json_key(json, key);
    if (length < 0) {
        json_null(json);
        return;
    }
    json_bytes(json, text, (size_t)length - (length > 0 && text[length - 1] == '\n'));
}

char *next_field(char **line, char separator)
{
    char *start = *line;
    if (!start)
        return NULL;
    char *end = strchr(start, separator);
    if (end)
        *end++ = 0;
    *line = end;
    return start;
}

char *next_line(char **text)
{
    if (!*text || !**text)
        return NULL;
    return next_field(text, '\n');
}
