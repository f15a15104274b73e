/* The image's /etc/passwd and /etc/group are a stranger's files: no fifo, no endless one, no line too long. */
#include "passwd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "paths.h"

#define FILE_BYTES_MAX (1u << 20)
#define LINE_BYTES_MAX 65536

bool id_number(const char *text, uint32_t *number)
{
    uint64_t n = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (uint64_t)(*text - '0');
    }
    *number = (uint32_t)n;
    return n < UINT32_MAX;
}

static int read_lines(int fd, line_reader *reader, void *context)
{
    static char line[LINE_BYTES_MAX];
    char block[4096];
    size_t used = 0, total = 0;
    bool too_long = false;
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        for (ssize_t i = 0; i < n || (n == 0 && i == 0); i++) {
            char c = n == 0 ? '\n' : block[i];
            if (c != '\n' && used < sizeof(line) - 1) {
                line[used++] = c;
            } else if (c != '\n') {
                too_long = true;
            } else {
                line[used] = '\0';
                bool usable = !too_long && strlen(line) == used;
                used = 0;
                too_long = false;
                if (usable && !reader(line, context))
                    return 0;
            }
        }
        total += (size_t)n;
        if (n == 0 || total >= FILE_BYTES_MAX)
            return 0;
    }
}

int each_line(struct machine *m, const char *path, line_reader *reader, void *context)
{
    static const struct lookup look = {.flags = O_PATH};
    static const struct lookup open = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY};
    struct stat st;
    /* Looked at before it is opened: opening a device or a fifo has effects of its own. */
    int with_close found = path_open(m, path, &look);
    if (found < 0)
        return found;
    if (fstat(found, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    int with_close fd = path_open(m, path, &open);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? read_lines(fd, reader, context) : -EINVAL;
}

struct home {
    uint32_t uid;
    char directory[PATH_MAX];
};

/* name:password:uid:gid:gecos:home:shell; the home, if the line is this user's. */
static bool home_in(char *line, void *context)
{
    struct home *home = context;
    char *field[6];
    uint32_t uid;
    for (int i = 0; i < 6; i++) {
        field[i] = strsep(&line, ":");
        if (!field[i])
            return true;
    }
    if (!id_number(field[2], &uid) || uid != home->uid || field[5][0] != '/' || strlen(field[5]) >= PATH_MAX)
        return true;
    memcpy(home->directory, field[5], strlen(field[5]) + 1);
    return false;
}

int home_of(struct machine *m, uint32_t uid, char **home)
{
    struct home found = {.uid = uid, .directory = "/"};
    /* An unreadable file is the same as none: the user has no home there. */
    each_line(m, "/etc/passwd", home_in, &found);
    *home = malloc(strlen("HOME=") + strlen(found.directory) + 1);
    if (!*home)
        return -ENOMEM;
    memcpy(*home, "HOME=", 5);
    memcpy(*home + 5, found.directory, strlen(found.directory) + 1);
    return 0;
}
