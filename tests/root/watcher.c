/* watcher FOUND STOP: until STOP exists, look at the executable and the descriptors above 2 of every other process, and write each
 * link text that comes up into FOUND once; try to write to the executable. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 4096

static char *seen[MOST];
static int count;
static int out;

static void note(const char *what, const char *text)
{
    char line[4200];
    snprintf(line, sizeof line, "%s %s", what, text);
    for (int i = 0; i < count; i++)
        if (strcmp(seen[i], line) == 0)
            return;
    if (count == MOST)
        return;
    seen[count++] = strdup(line);
    if (dprintf(out, "%s\n", line) < 0)
        exit(3);
}

static void look(const char *what, const char *path)
{
    char text[4096];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n >= 0) {
        text[n] = '\0';
        note(what, text);
    }
}

static void descriptors(const char *pid)
{
    char path[600];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) <= 2) /* stdio is its caller's choice */
            continue;
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
        look("fd", path);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            char text[64];
            snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
            note("directory", text);
        }
    }
    closedir(directory);
}

static void process(const char *pid)
{
    char path[600];
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    look("exe", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        /* Sealed: this must fail. */
        if (pwrite(fd, "x", 1, 0) == 1)
            note("written", path);
        close(fd);
    }
    descriptors(pid);
}

int main(int argc, char **argv)
{
    char self[16];
    if (argc != 3)
        return 2;
    out = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out < 0)
        return 2;
    snprintf(self, sizeof self, "%d", (int)getpid());
    if (dprintf(out, "looked\n") < 0)
        return 3;
    while (access(argv[2], F_OK) < 0) {
        DIR *proc = opendir("/proc");
        if (!proc)
            return 2;
        for (struct dirent *entry; (entry = readdir(proc));)
            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && strcmp(entry->d_name, self) != 0)
                process(entry->d_name);
        closedir(proc);
    }
    return 0;
}
