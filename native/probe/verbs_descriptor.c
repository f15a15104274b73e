/* Verbs for open descriptors, terminals and sockets. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

static int write_descriptor(struct json *value, int argc, char **argv)
{
    int64_t fd;
    (void)argc;
    if (!parse_integer(argv[0], &fd))
        return BAD_ARGUMENTS;
    ssize_t count = write((int)fd, argv[1], strlen(argv[1]));
    if (count < 0)
        return errno;
    json_number(value, count);
    return 0;
}

/* Whatever is there within a second, one read. */
static int read_once(struct json *value, int argc, char **argv)
{
    int64_t fd, most = 65536;
    if (!parse_integer(argv[0], &fd) || (argc > 1 && !parse_integer(argv[1], &most)))
        return BAD_ARGUMENTS;
    if (most < 0 || most > (int64_t)sizeof scratch)
        return BAD_ARGUMENTS;
    struct pollfd input = {.fd = (int)fd, .events = POLLIN};
    if (poll(&input, 1, 1000) == 0)
        return EAGAIN;
    ssize_t count = read((int)fd, scratch, (size_t)most);
    if (count < 0)
        return errno;
    json_bytes(value, scratch, (size_t)count);
    return 0;
}

static int descriptors(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    json_descriptors(value);
    return 0;
}

static int terminal(struct json *value, int argc, char **argv)
{
    (void)argc, (void)argv;
    json_open(value, '{');
    json_key(value, "streams");
    json_open(value, '[');
    for (int fd = 0; fd < 3; fd++) {
        char name[256];
        json_open(value, '{');
        key_bool(value, "tty", isatty(fd));
        key_string(value, "name", ttyname_r(fd, name, sizeof name) == 0 ? name : NULL);
        json_key(value, "winsize");
        json_winsize(value, fd);
        key_count(value, "foreground", tcgetpgrp(fd));
        json_close(value, '}');
    }
    json_close(value, ']');
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    json_key(value, "dev_tty");
    json_errno(value, fd < 0 ? errno : 0);
    key_bool(value, "controlling", fd >= 0);
    if (fd >= 0)
        close(fd);
    json_close(value, '}');
    return 0;
}

static int push_input(struct json *value, int argc, char **argv)
{
    char byte = argc > 0 ? argv[0][0] : ' ';
    (void)value;
    return ioctl(STDIN_FILENO, TIOCSTI, &byte) < 0 ? errno : 0;
}

/* A new pseudo-terminal: its number and whether its other end can be opened by ioctl(2) and by name. */
static int open_pty(struct json *value, int argc, char **argv)
{
    char name[40] = "/dev/pts/";
    int unlock = 0, number = -1;
    int fd = open(argc > 0 ? argv[0] : "/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (ioctl(fd, TIOCSPTLCK, &unlock) < 0 || ioctl(fd, TIOCGPTN, &number) < 0) {
        int error = errno;
        close(fd);
        return error;
    }
    int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    decimal(name + strlen(name), number);
    struct stat by_name, by_call;
    bool same = peer >= 0 && fstat(peer, &by_call) == 0 && stat(name, &by_name) == 0;
    same = same && by_name.st_ino == by_call.st_ino && by_name.st_dev == by_call.st_dev;
    json_open(value, '{');
    key_number(value, "number", number);
    key_string(value, "name", name);
    key_bool(value, "peer", peer >= 0);
    key_bool(value, "name_is_peer", same);
    json_close(value, '}');
    if (peer >= 0)
        close(peer);
    close(fd);
    return 0;
}

static int make_socket(struct json *value, int argc, char **argv)
{
    uint64_t family, type;
    int64_t protocol = 0;
    (void)value;
    if (!parse_flags(socket_names, argv[0], &family) || !parse_flags(socket_names, argv[1], &type))
        return BAD_ARGUMENTS;
    if (argc > 2 && !parse_integer(argv[2], &protocol))
        return BAD_ARGUMENTS;
    int fd = socket((int)family, (int)type | SOCK_CLOEXEC, (int)protocol);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* TCP on the loopback address; the socket is closed again. */
static int bind_port(struct json *value, int argc, char **argv)
{
    int64_t port;
    (void)argc;
    if (!parse_integer(argv[0], &port) || port < 0 || port > 65535)
        return BAD_ARGUMENTS;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr *generic = (struct sockaddr *)&address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = bind(fd, generic, size) < 0 || getsockname(fd, generic, &size) < 0 ? errno : 0;
    if (!error)
        json_number(value, ntohs(address.sin_port));
    close(fd);
    return error;
}

/* "@name" is an abstract address. */
static int connect_unix(struct json *value, int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(argv[0]);
    (void)value, (void)argc;
    if (length >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, argv[0], length);
    if (argv[0][0] == '@')
        address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    length += offsetof(struct sockaddr_un, sun_path);
    int error = connect(fd, (struct sockaddr *)&address, (socklen_t)length) < 0 ? errno : 0;
    close(fd);
    return error;
}

const struct verb descriptor_verbs[] = {
    {"write-fd", "write-fd FD TEXT", 2, 2, write_descriptor, NULL},
    {"read-fd", "read-fd FD [MOST]", 1, 2, read_once, NULL},
    {"fd-list", "fd-list", 0, 0, descriptors, NULL},
    {"tty-info", "tty-info", 0, 0, terminal, NULL},
    {"ioctl-tiocsti", "ioctl-tiocsti [CHARACTER]", 0, 1, push_input, NULL},
    {"open-pty", "open-pty [PATH]", 0, 1, open_pty, NULL},
    {"socket", "socket FAMILY TYPE [PROTOCOL]", 2, 3, make_socket, NULL},
    {"bind-port", "bind-port PORT", 1, 1, bind_port, NULL},
    {"connect", "connect PATH|@NAME", 1, 1, connect_unix, NULL},
    {NULL, NULL, 0, 0, NULL, NULL},
};
