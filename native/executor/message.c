#include "message.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct head {
    uint32_t kind, operation;
    int32_t value, error;
};

int message_send(struct machine *m, uint32_t kind, int32_t value, int32_t error, const char *text, int fd)
{
    struct head head = {kind, m->index, value, error};
    struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)text, text ? strlen(text) : 0}};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (m->channel < 0)
        return -ENOTCONN;
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(m->channel, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int message_receive(int socket)
{
    struct head head;
    ssize_t n;
    /* read, not recvmsg: descriptors are never accepted, and a strict seccomp profile is sure to allow it. */
    do
        n = read(socket, &head, sizeof(head));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n == 0)
        return 0;
    return n == sizeof(head) && head.kind <= INT_MAX ? (int)head.kind : -EPROTO;
}

int message_receive_descriptor(int socket, uint32_t kind)
{
    struct head head;
    struct iovec part = {&head, sizeof(head)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    int with_close fd = -1;
    ssize_t n;
    do
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -EPIPE;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(int));
    if (n == sizeof(head) && head.kind == kind && fd < 0 && head.error > 0)
        return -head.error;
    if (n != sizeof(head) || head.kind != kind || fd < 0 || message.msg_flags & MSG_CTRUNC)
        return -EPROTO;
    return keep_open(&fd);
}

void message_warning(struct machine *m, const char *text)
{
    message_send(m, MESSAGE_WARNING, 0, 0, text, -1);
}
