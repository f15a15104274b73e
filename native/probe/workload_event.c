/* epoll, eventfd, signalfd, inotify. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

/* -- epoll -------------------------------------------------------------------------------------------------------- */

static int set, readable[2], silent[2];

static int add(int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

static int prepare_epoll(void)
{
    TRY(set = epoll_create1(EPOLL_CLOEXEC));
    TRY(pipe2(readable, O_CLOEXEC));
    TRY(pipe2(silent, O_CLOEXEC));
    TRY(write(readable[1], "x", 1));
    int error = add(readable[0], EPOLLIN, 0x1111);
    if (!error)
        error = add(silent[0], EPOLLIN | EPOLLET, 0x2222222222222222);
    return error ? error : add(silent[1], EPOLLPRI | EPOLLONESHOT, 0x3333);
}

/* What proc(5)'s fdinfo says about one descriptor of the set. */
static void key_registered(struct json *json, const char *key, int wanted)
{
    char path[64], text[4096], *rest = text;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", set);
    json_key(json, key);
    json_open(json, '{');
    if (proc_read(path, text, sizeof text) > 0)
        for (char *line = next_line(&rest); line; line = next_line(&rest)) {
            int fd;
            unsigned events;
            unsigned long long data;
            if (sscanf(line, "tfd: %d events: %x data: %llx", &fd, &events, &data) != 3 || fd != wanted)
                continue;
            key_unsigned(json, "events", events);
            key_hex(json, "data", data);
        }
    json_close(json, '}');
}

static void epoll_state(struct json *json)
{
    key_registered(json, "readable", readable[0]);
    key_registered(json, "edge", silent[0]);
    key_registered(json, "once", silent[1]);
    struct epoll_event ready[4];
    int found = epoll_wait(set, ready, 4, 0);
    json_key(json, "ready");
    json_open(json, '[');
    for (int i = 0; i < found; i++)
        json_hex(json, ready[i].data.u64);
    json_close(json, ']');
    key_flags(json, "flags", set);
}

/* -- eventfd and signalfd ----------------------------------------------------------------------------------------- */

static int counter, nonblocking, signals;

static int prepare_descriptors(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGURG);
    sigaddset(&mask, SIGIO);
    TRY(counter = eventfd(7, EFD_CLOEXEC));
    TRY(nonblocking = eventfd(5, EFD_NONBLOCK)); /* no EFD_SEMAPHORE: CRIU loses it */
    TRY(sigprocmask(SIG_BLOCK, &mask, NULL));
    TRY(signals = signalfd(-1, &mask, SFD_NONBLOCK));
    return 0;
}

static void key_taken(struct json *json, const char *key, int fd)
{
    uint64_t value = 0;
    ssize_t got = read(fd, &value, sizeof value);
    key_unsigned(json, key, value);
    if (got == sizeof value && write(fd, &value, sizeof value) < 0)
        key_null(json, "lost");
}

static void descriptors_state(struct json *json)
{
    struct signalfd_siginfo information = {0};
    key_taken(json, "counter", counter);
    key_number(json, "count", fdinfo_number(nonblocking, "eventfd-count", 16));
    key_taken(json, "nonblocking", nonblocking);
    key_flags(json, "nonblocking_flags", nonblocking);
    key_number(json, "sigmask", fdinfo_number(signals, "sigmask", 16));
    kill(getpid(), SIGURG);
    ssize_t got = read(signals, &information, sizeof information);
    key_number(json, "signal", got == sizeof information ? (int64_t)information.ssi_signo : -1);
}

/* -- inotify ------------------------------------------------------------------------------------------------------ */

#define WATCHED WORKLOAD_DIRECTORY "/workload-watched"

static int watcher, on_directory, on_file;

static int prepare_inotify(void)
{
    TRY(mkdir(WATCHED, 0755));
    int file = open(WATCHED "/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    TRY(file);
    TRY(close(file));
    TRY(watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    TRY(on_directory = inotify_add_watch(watcher, WATCHED, IN_CREATE | IN_DELETE));
    TRY(on_file = inotify_add_watch(watcher, WATCHED "/file", IN_MODIFY));
    return 0;
}

static void inotify_state(struct json *json)
{
    char room[4096] __attribute__((aligned(8)));
    struct pollfd waiting = {.fd = watcher, .events = POLLIN};
    while (read(watcher, room, sizeof room) > 0) /* events of before: CRIU does not keep them */
        ;
    int made = open(WATCHED "/made", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    close(made);
    unlink(WATCHED "/made");
    int file = open(WATCHED "/file", O_WRONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? write(file, "x", 1) : -1;
    close(file);
    json_key(json, "events");
    json_open(json, '[');
    while (got > 0 && poll(&waiting, 1, 0) > 0 && (got = read(watcher, room, sizeof room)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(room + at);
            json_open(json, '{');
            key_string(json, "watch", event->wd == on_directory ? "directory" : event->wd == on_file ? "file" : "?");
            key_unsigned(json, "mask", event->mask);
            key_string(json, "name", event->len ? event->name : "");
            json_close(json, '}');
            at += (ssize_t)sizeof *event + event->len;
        }
    json_close(json, ']');
    key_flags(json, "flags", watcher);
}

const struct workload event_workloads[] = {
    {"epoll", prepare_epoll, epoll_state},
    {"eventfd", prepare_descriptors, descriptors_state},
    {"inotify", prepare_inotify, inotify_state},
    {NULL, NULL, NULL},
};
