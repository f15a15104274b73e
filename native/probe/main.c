/* The probe: what a process inside a container can see and do.  docs/probe.md describes the lines that it prints. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "probe.h"

char first_cgroup[1 << 16];
bool first_cgroup_known;

/* The first thing that main does: a runtime that moves the process into its cgroup only after exec is caught by this.
 * No call more than needed: every verb pays for it, under every seccomp filter. */
static inline void read_first_cgroup(void)
{
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    ssize_t length = read(fd, first_cgroup, sizeof first_cgroup - 1);
    first_cgroup_known = length >= 0;
    close(fd);
}

unsigned long auxiliary(unsigned long type)
{
    return getauxval(type);
}

/* With no arguments (a hook may have none) the file EXECUTABLE.args, one argument per line, gives them. */
static int arguments_beside(char **words, int most)
{
    static char text[1 << 16];
    char path[4200] = "";
    const char *executable = (const char *)auxiliary(AT_EXECFN);
    if (!executable || strlen(executable) > 4096)
        return 0;
    strcat(strcpy(path, executable), ".args");
    int count = 0;
    if (read_file(path, text, sizeof text) <= 0)
        return 0;
    char *rest = text;
    for (char *line = next_line(&rest); line && count < most; line = next_line(&rest))
        words[count++] = line;
    return count;
}

/* --to FILE and --fd N; the number of words taken, or -1 */
static int output_option(int argc, char **argv)
{
    int64_t fd;
    if (argc < 2)
        return 0;
    if (strcmp(argv[0], "--to") == 0) {
        int error = output_to_file(argv[1]);
        if (error == 0)
            return 2;
        char room[8192];
        struct json line;
        json_reset(&line, room, sizeof room);
        json_open(&line, '{');
        key_string(&line, "verb", "--to");
        json_key(&line, "args");
        json_open(&line, '[');
        json_string(&line, argv[1]);
        json_close(&line, ']');
        key_null(&line, "value");
        key_bool(&line, "ok", false);
        json_key(&line, "errno");
        json_errno(&line, error);
        json_close(&line, '}');
        output_line(&line);
        json_free(&line);
        return -1;
    }
    if (strcmp(argv[0], "--fd") == 0 && parse_integer(argv[1], &fd)) {
        output_to_descriptor((int)fd);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    read_first_cgroup();
    static char *given[256];
    static char *report[] = {"report"};
    char **words = argv + 1;
    int count = argc - 1;
    if (count <= 0) {
        words = given;
        count = arguments_beside(given, 256);
    }
    for (int taken = output_option(count, words); taken != 0; taken = output_option(count, words)) {
        if (taken < 0)
            return STATUS_OUTPUT;
        words += taken;
        count -= taken;
    }
    return count > 0 ? run_actions(count, words) : run_actions(1, report);
}
