/* The image's /etc/passwd is a stranger's file: no fifo, no endless one, no line too long. */
#include "passwd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "paths.h"

#define PASSWD_BYTES_MAX (1u << 20)
#define LINE_MAX_BYTES 4096

static bool same_number(const char *text, uint32_t value)
{
    uint64_t n = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (uint64_t)(*text - '0');
    }
    return n == value;
}

/* name:password:uid:gid:gecos:home:shell; the home, if the line is this user's. */
static char *home_in(char *line, uint32_t uid)
{
    char *field[6];
    for (int i = 0; i < 6; i++) {
        field[i] = strsep(&line, ":");
        if (!field[i])
            return NULL;
    }
    return same_number(field[2], uid) && field[5][0] == '/' ? field[5] : NULL;
}

static int search(int fd, uint32_t uid, char home[LINE_MAX_BYTES])
{
    char line[LINE_MAX_BYTES], block[4096];
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
                char *found = too_long || strlen(line) != used ? NULL : home_in(line, uid);
                if (found) {
                    memcpy(home, found, strlen(found) + 1);
                    return 0;
                }
                used = 0;
                too_long = false;
            }
        }
        total += (size_t)n;
        if (n == 0 || total >= PASSWD_BYTES_MAX)
            return -ENOENT;
    }
}

int home_of(struct machine *m, uint32_t uid, char **home)
{
    static const struct lookup look = {.flags = O_PATH};
    static const struct lookup open = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY};
    char directory[LINE_MAX_BYTES] = "/";
    struct stat st;
    int with_close found = path_open(m, "/etc/passwd", &look);
    if (found >= 0 && fstat(found, &st) == 0 && S_ISREG(st.st_mode)) {
        int with_close fd = path_open(m, "/etc/passwd", &open);
        /* An unreadable file is the same as none: the user has no home there. */
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || search(fd, uid, directory) < 0)
            memcpy(directory, "/", 2);
    }
    *home = malloc(strlen("HOME=") + strlen(directory) + 1);
    if (!*home)
        return -ENOMEM;
    memcpy(*home, "HOME=", 5);
    memcpy(*home + 5, directory, strlen(directory) + 1);
    return 0;
}
