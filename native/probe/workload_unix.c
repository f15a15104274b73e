/* Unix sockets: pairs with bytes and messages on the way, listeners with a name and without. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define NAMED WORKLOAD_DIRECTORY "/workload-socket"
#define OUTSIDE "/outside/socket" /* not ours: a datagram socket in a directory of the host */

static int stream[2], messages[2], half[2], named, client, server, abstract;

static int listening(const char *name, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, name, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 7) < 0)
        return -1;
    return fd;
}

static int prepare(void)
{
    int yes = 1;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = NAMED};
    TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
    TRY(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, messages));
    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
    TRY(setsockopt(half[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes));
    TRY(write(stream[0], "on the way", 10));
    TRY(write(stream[1], "back", 4));
    TRY(write(messages[0], "one", 3));
    TRY(write(messages[0], "three", 5));
    TRY(write(messages[0], "two", 3));
    TRY(shutdown(half[0], SHUT_WR));
    TRY(named = listening(NAMED, sizeof NAMED));
    TRY(abstract = listening("\0workload", 9));
    TRY(client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    TRY(connect(client, (struct sockaddr *)&address, sizeof address));
    TRY(server = accept4(named, NULL, NULL, SOCK_CLOEXEC));
    TRY(write(client, "request", 7));
    return 0;
}

/* What waits in a socket, without taking it. */
static void key_waiting(struct json *json, const char *key, int fd)
{
    char bytes[64];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    json_key(json, key);
    if (got < 0)
        json_errno(json, errno);
    else
        json_bytes(json, bytes, (size_t)got);
}

static void key_name(struct json *json, const char *key, int fd,
                     int (*ask)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address;
    json_key(json, key);
    if (ask(fd, (struct sockaddr *)&address, &size) < 0)
        json_errno(json, errno);
    else
        json_bytes(json, address.sun_path, size - offsetof(struct sockaddr_un, sun_path));
}

/* A message to each listener and back: "yes" when it arrives. */
static void key_reached(struct json *json, const char *key, int listener, const char *name, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char byte = 0;
    memcpy(address.sun_path, name, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other = -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) == 0)
        other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    bool reached = other >= 0 && write(fd, "!", 1) == 1 && read(other, &byte, 1) == 1 && byte == '!';
    key_bool(json, key, reached);
    close(fd);
    close(other);
}

static void state(struct json *json)
{
    int value = 0;
    socklen_t size = sizeof value;
    key_waiting(json, "forth", stream[1]);
    key_waiting(json, "back", stream[0]);
    key_waiting(json, "half_closed", half[1]);
    key_waiting(json, "request", server);
    json_key(json, "messages");
    json_open(json, '[');
    char room[3][64];
    ssize_t length[3];
    int found = 0;
    while (found < 3 && (length[found] = recv(messages[1], room[found], sizeof room[0], MSG_DONTWAIT)) >= 0)
        found++;
    for (int i = 0; i < found; i++) {
        json_bytes(json, room[i], (size_t)length[i]);
        send(messages[0], room[i], (size_t)length[i], 0);
    }
    json_close(json, ']');
    getsockopt(half[1], SOL_SOCKET, SO_PASSCRED, &value, &size);
    key_number(json, "passcred", value);
    key_name(json, "listener_name", named, getsockname); /* not the client's peer: CRIU leaves it without a name */
    key_name(json, "abstract_name", abstract, getsockname);
    key_flags(json, "messages_flags", messages[0]);
    key_reached(json, "named_reached", named, NAMED, sizeof NAMED);
    key_reached(json, "abstract_reached", abstract, "\0workload", 9);
}

/* -- connected to a socket that is somebody else's ------------------------------------------------------------------ */

static int outside;

static int prepare_outside(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = OUTSIDE};
    TRY(outside = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    TRY(connect(outside, (struct sockaddr *)&address, sizeof address));
    return 0;
}

static void outside_state(struct json *json)
{
    key_count(json, "sent", send(outside, "here", 4, MSG_NOSIGNAL | MSG_DONTWAIT));
}

const struct workload unix_workloads[] = {
    {"unix-sockets", prepare, state},
    {"outside-socket", prepare_outside, outside_state},
    {NULL, NULL, NULL},
};
