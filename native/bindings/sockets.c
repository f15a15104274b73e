/* Unix sockets with descriptors: the executor's channel, console and seccomp sockets.  Python's socket module costs
 * more start-up time than the rest of the runtime. */
#define _GNU_SOURCE
#include "bindings.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_FDS 32 /* the kernel's SCM_MAX_FD is 253 */

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int seatrial_socketpair(int type, int *pair)
{
    return result_of(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair));
}

/* The length of the address.  A leading '@' means the abstract name after it, as in Go's net package. */
static int unix_address(struct sockaddr_un *address, const char *path)
{
    size_t length = strlen(path);

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    memcpy(address->sun_path, path, length);
    if (path[0] != '@')
        return (int)sizeof *address;
    address->sun_path[0] = '\0';
    return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

int seatrial_unix_listen(const char *path, int type, int backlog)
{
    struct sockaddr_un address;
    int fd, error, length = unix_address(&address, path);

    if (length < 0)
        return length;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)length) < 0 ||
        (type != SOCK_DGRAM && listen(fd, backlog) < 0)) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int seatrial_unix_connect(const char *path, int type)
{
    struct sockaddr_un address;
    int fd, error, length = unix_address(&address, path);

    if (length < 0)
        return length;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, (socklen_t)length) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int seatrial_accept(int fd)
{
    return result_of(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

int seatrial_send(int fd, const char *data, size_t bytes, const int *fds, size_t count)
{
    union {
        char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {(void *)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (count > MESSAGE_FDS)
        return -EINVAL;
    if (count > 0) {
        struct cmsghdr *header;
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    return result_of(sendmsg(fd, &message, MSG_NOSIGNAL));
}

int seatrial_receive(int fd, char *data, size_t bytes, int *fds, size_t count, int *result)
{
    union {
        char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {data, bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int got = result_of(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));

    result[0] = result[1] = 0;
    if (got < 0)
        return got;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        size_t received;
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        received = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < received; i++) {
            int one;
            memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof one);
            if ((size_t)result[0] < count) {
                fds[result[0]++] = one;
            } else { /* more than the caller has room for: none may leak */
                close(one);
                message.msg_flags |= MSG_CTRUNC;
            }
        }
    }
    result[1] = message.msg_flags;
    return got;
}
