/* TCP and UDP sockets on the loopback device. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define LISTENING 4711
#define CONNECTED 4712
#define DATAGRAMS 4713

static struct sockaddr_in local(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int bound(int type, uint16_t port)
{
    struct sockaddr_in address = local(port);
    int yes = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || (type == SOCK_STREAM && listen(fd, 9) < 0))
        return -1;
    return fd;
}

static void key_port(struct json *json, const char *key, int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    key_number(json, key, ask(fd, (struct sockaddr *)&address, &size) < 0 ? -1 : ntohs(address.sin_port));
}

static void key_option(struct json *json, const char *key, int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    key_count(json, key, getsockopt(fd, level, name, &value, &size) < 0 ? -1 : value);
}

/* -- a listener --------------------------------------------------------------------------------------------------- */

static int listener;

static int prepare_listener(void)
{
    int yes = 1;
    TRY(listener = bound(SOCK_STREAM, LISTENING));
    TRY(setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes));
    return 0;
}

static void listener_state(struct json *json)
{
    struct sockaddr_in address = local(LISTENING);
    key_port(json, "port", listener, getsockname);
    key_option(json, "listening", listener, SOL_SOCKET, SO_ACCEPTCONN);
    key_option(json, "keepalive", listener, SOL_SOCKET, SO_KEEPALIVE);
    key_option(json, "reuseaddr", listener, SOL_SOCKET, SO_REUSEADDR);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool reached = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    int other = reached ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    key_bool(json, "reached", other >= 0);
    struct linger at_once = {.l_onoff = 1}; /* a reset: no connection may linger, or a dump would see it */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    close(other);
}

/* -- an established connection ------------------------------------------------------------------------------------- */

static int client, server, behind;

static int prepare_connection(void)
{
    int yes = 1;
    struct sockaddr_in address = local(CONNECTED);
    TRY(behind = bound(SOCK_STREAM, CONNECTED));
    TRY(client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    TRY(connect(client, (struct sockaddr *)&address, sizeof address));
    TRY(server = accept4(behind, NULL, NULL, SOCK_CLOEXEC));
    TRY(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    TRY(write(client, "question", 8));
    TRY(write(server, "answer", 6));
    return 0;
}

/* Bytes on the way are taken and sent again: the connection has to work. */
static void key_passed(struct json *json, const char *key, int from, int to, size_t length)
{
    char bytes[16] = "";
    ssize_t got = recv(from, bytes, length, MSG_WAITALL);
    json_key(json, key);
    if (got < 0)
        json_errno(json, errno);
    else
        json_bytes(json, bytes, (size_t)got);
    if (got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) != got)
        key_null(json, "not_sent_again");
}

static void connection_state(struct json *json)
{
    struct timeval limit = {.tv_sec = 10};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    key_port(json, "server_port", client, getpeername);
    key_port(json, "client_port", client, getsockname);
    key_port(json, "peer_port", server, getpeername);
    key_option(json, "nodelay", client, IPPROTO_TCP, TCP_NODELAY);
    key_option(json, "listening", behind, SOL_SOCKET, SO_ACCEPTCONN);
    key_passed(json, "question", server, client, 8);
    key_passed(json, "answer", client, server, 6);
}

/* -- datagrams ---------------------------------------------------------------------------------------------------- */

static int receiver, sender;

static int prepare_datagrams(void)
{
    struct sockaddr_in address = local(DATAGRAMS);
    int yes = 1;
    TRY(receiver = bound(SOCK_DGRAM, DATAGRAMS));
    TRY(sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    TRY(setsockopt(sender, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes));
    TRY(connect(sender, (struct sockaddr *)&address, sizeof address));
    return 0;
}

static void datagrams_state(struct json *json)
{
    struct timeval limit = {.tv_sec = 10};
    char bytes[16];
    key_port(json, "receiver_port", receiver, getsockname);
    key_port(json, "sender_peer", sender, getpeername);
    key_option(json, "broadcast", sender, SOL_SOCKET, SO_BROADCAST);
    setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    key_count(json, "sent", send(sender, "datagram", 8, MSG_NOSIGNAL));
    key_count(json, "received", recv(receiver, bytes, sizeof bytes, 0));
}

/* -- the device, where nobody has brought it up ------------------------------------------------------------------- */

static int prepare_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    TRY(fd);
    TRY(ioctl(fd, SIOCSIFFLAGS, &request));
    TRY(close(fd));
    return 0;
}

static void loopback_state(struct json *json)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    key_bool(json, "up", ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP);
    close(fd);
}

const struct workload inet_workloads[] = {
    {"loopback", prepare_loopback, loopback_state},
    {"tcp-listener", prepare_listener, listener_state},
    {"tcp", prepare_connection, connection_state},
    {"udp", prepare_datagrams, datagrams_state},
    {NULL, NULL, NULL},
};
