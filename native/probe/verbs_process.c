/* Verbs about this process and its children: exit, exec, ids, signals to others. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

#define RESULT(call) ((call) < 0 ? errno : 0)

extern char **environ;

static int64_t number;

static int take_number(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    return parse_integer(argv[0], &number) ? 0 : BAD_ARGUMENTS;
}

static void leave(int argc, char **argv)
{
    (void)argc, (void)argv;
    _exit((int)number);
}

static void fail(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "told to fail";
    char line[4096];
    signal(SIGPIPE, SIG_IGN);
    int length = snprintf(line, sizeof line, "probe: %s\n", text);
    if (write(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1) < 0)
        _exit((int)number); /* said or not, it is the status that counts */
    _exit((int)number);
}

static int replace(struct json *value, int argc, char **argv)
{
    (void)value, (void)argc;
    execve(argv[0], argv, environ);
    return errno;
}

static void json_wait_status(struct json *json, int status)
{
    char name[24];
    json_open(json, '{');
    key_count(json, "exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    key_string(json, "signal", WIFSIGNALED(status) ? signal_name(WTERMSIG(status), name) : NULL);
    json_close(json, '}');
}

static int await(struct json *value, pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    json_wait_status(value, status);
    return 0;
}

/* The pipe says whether the exec failed: a program that exits with any status did run. */
static int exec_check(struct json *value, int argc, char **argv)
{
    int pipes[2], error = 0;
    (void)argc;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return errno;
    pid_t child = fork();
    if (child == 0) {
        if (output_descriptor() != STDOUT_FILENO)
            dup2(output_descriptor(), STDOUT_FILENO);
        execve(argv[0], argv, environ);
        error = errno;
        if (write(pipes[1], &error, sizeof error) < 0)
            _exit(126);
        _exit(127);
    }
    int failed = child < 0 ? errno : 0;
    close(pipes[1]);
    if (!failed && read(pipes[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(pipes[0]);
    if (failed)
        return failed;
    if (!error)
        return await(value, child);
    waitpid(child, NULL, 0);
    return error;
}

int in_child(struct json *value, int argc, char **argv)
{
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0) {
        run_action(argc, argv);
        _exit(0);
    }
    return await(value, child);
}

static int suid_check(struct json *value, int argc, char **argv)
{
    uid_t uid[3];
    gid_t gid[3];
    (void)argc, (void)argv;
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
        return errno;
    json_open(value, '{');
    for (int kind = 0; kind < 2; kind++) {
        json_key(value, kind ? "gid" : "uid");
        json_open(value, '[');
        for (int i = 0; i < 3; i++)
            json_unsigned(value, kind ? gid[i] : uid[i]);
        json_close(value, ']');
    }
    key_bool(value, "secure", auxiliary(AT_SECURE));
    json_close(value, '}');
    return 0;
}

static int set_user(struct json *value, int argc, char **argv)
{
    int64_t id;
    (void)value, (void)argc;
    return parse_integer(argv[0], &id) ? RESULT(syscall(SYS_setuid, (uid_t)id)) : BAD_ARGUMENTS;
}

static int set_group(struct json *value, int argc, char **argv)
{
    int64_t id;
    (void)value, (void)argc;
    return parse_integer(argv[0], &id) ? RESULT(syscall(SYS_setgid, (gid_t)id)) : BAD_ARGUMENTS;
}

static int set_groups(struct json *value, int argc, char **argv)
{
    gid_t list[256];
    (void)value;
    for (int i = 0; i < argc; i++) {
        int64_t id;
        if (i >= 256 || !parse_integer(argv[i], &id))
            return BAD_ARGUMENTS;
        list[i] = (gid_t)id;
    }
    return RESULT(syscall(SYS_setgroups, (size_t)argc, list));
}

static int send_signal(struct json *value, int argc, char **argv)
{
    int64_t pid = getpid();
    int signal_number;
    (void)value, (void)argc;
    if ((strcmp(argv[0], "self") != 0 && !parse_integer(argv[0], &pid)) || !parse_signal(argv[1], &signal_number))
        return BAD_ARGUMENTS;
    return RESULT(kill((pid_t)pid, signal_number));
}

static int process_id(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    json_number(value, getpid());
    return 0;
}

static int print(struct json *value, int argc, char **argv)
{
    (void)argc;
    json_string(value, argv[0]);
    return 0;
}

static int environment(struct json *value, int argc, char **argv)
{
    (void)argc;
    json_string(value, getenv(argv[0]));
    return 0;
}

const struct verb process_verbs[] = {
    {"exit", "exit STATUS", 1, 1, take_number, leave},
    {"fail", "fail STATUS [TEXT]", 1, 2, take_number, fail},
    {"exec", "exec PATH [ARGUMENT]...", 1, -1, replace, NULL},
    {"exec-check", "exec-check PATH [ARGUMENT]...", 1, -1, exec_check, NULL},
    {"child", "child VERB [ARGUMENT]...", 1, -1, in_child, NULL},
    {"suid-check", "suid-check", 0, 0, suid_check, NULL},
    {"setuid", "setuid UID", 1, 1, set_user, NULL},
    {"setgid", "setgid GID", 1, 1, set_group, NULL},
    {"setgroups", "setgroups [GID]...", 0, -1, set_groups, NULL},
    {"kill", "kill PID|self SIGNAL", 2, 2, send_signal, NULL},
    {"getpid", "getpid", 0, 0, process_id, NULL},
    {"print", "print TEXT", 1, 1, print, NULL},
    {"env", "env NAME", 1, 1, environment, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
