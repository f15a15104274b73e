/* Network interfaces and addresses over rtnetlink(7): no /sys, no /proc, no privilege needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"

static const struct name interface_flags[] = {
    {"up", IFF_UP}, {"broadcast", IFF_BROADCAST}, {"loopback", IFF_LOOPBACK}, {"pointopoint", IFF_POINTOPOINT},
    {"running", IFF_RUNNING}, {"noarp", IFF_NOARP}, {"promisc", IFF_PROMISC}, {"multicast", IFF_MULTICAST},
    {"lower_up", IFF_LOWER_UP}, {NULL, 0},
};

typedef void taker(struct json *json, const struct nlmsghdr *message);

/* Ask for a dump and hand each message to `take`; 0 or an errno. */
static int dump(int fd, int type, size_t size, taker *take, struct json *json)
{
    static _Alignas(8) char buffer[32768];
    struct {
        struct nlmsghdr header;
        char body[sizeof(struct ifinfomsg)]; /* the larger of the two */
    } request = {{0}, {0}};
    request.header.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size);
    request.header.nlmsg_type = (uint16_t)type;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
        return errno;
    for (;;) {
        ssize_t length = recv(fd, buffer, sizeof buffer, 0);
        if (length <= 0)
            return length < 0 ? errno : EIO;
        struct nlmsghdr *message = (void *)buffer;
        for (; NLMSG_OK(message, (size_t)length); message = NLMSG_NEXT(message, length)) {
            if (message->nlmsg_type == NLMSG_DONE)
                return 0;
            if (message->nlmsg_type == NLMSG_ERROR)
                return EIO;
            take(json, message);
        }
    }
}

static void key_hex_bytes(struct json *json, const char *key, const struct rtattr *attribute)
{
    char text[3 * 32 + 1] = "";
    size_t length = RTA_PAYLOAD(attribute);
    const unsigned char *bytes = RTA_DATA(attribute);
    for (size_t i = 0; i < length && i < 32; i++) {
        text[3 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[3 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
        text[3 * i + 2] = i + 1 < length && i < 31 ? ':' : 0;
    }
    key_string(json, key, text);
}

static void key_address(struct json *json, const char *key, int family, const void *bytes)
{
    char text[64];
    const unsigned char *part = bytes;
    size_t used = 0;
    for (int i = 0; i < (family == AF_INET ? 4 : 8); i++) {
        if (i > 0)
            text[used++] = family == AF_INET ? '.' : ':';
        if (family == AF_INET) {
            decimal(text + used, part[i]);
            used += strlen(text + used);
        } else { /* full form, as /proc/net/if_inet6 has it, with colons */
            for (int nibble = 0; nibble < 4; nibble++)
                text[used++] = "0123456789abcdef"[part[2 * i + nibble / 2] >> (nibble % 2 ? 0 : 4) & 15];
        }
        text[used] = 0;
    }
    key_string(json, key, text);
}

static void take_address(struct json *json, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *body = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWADDR || (body->ifa_family != AF_INET && body->ifa_family != AF_INET6))
        return;
    const void *address = NULL, *local = NULL, *broadcast = NULL;
    size_t left = IFA_PAYLOAD(message);
    const struct rtattr *attribute = IFA_RTA(body);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (RTA_PAYLOAD(attribute) < (body->ifa_family == AF_INET ? 4u : 16u))
            continue;
        if (attribute->rta_type == IFA_ADDRESS)
            address = RTA_DATA(attribute);
        else if (attribute->rta_type == IFA_LOCAL)
            local = RTA_DATA(attribute);
        else if (attribute->rta_type == IFA_BROADCAST)
            broadcast = RTA_DATA(attribute);
    }
    json_open(json, '{');
    key_unsigned(json, "index", body->ifa_index);
    key_string(json, "family", body->ifa_family == AF_INET ? "inet" : "inet6");
    if (local || address)
        key_address(json, "address", body->ifa_family, local ? local : address);
    key_unsigned(json, "prefix", body->ifa_prefixlen);
    key_unsigned(json, "scope", body->ifa_scope);
    if (broadcast)
        key_address(json, "broadcast", body->ifa_family, broadcast);
    json_close(json, '}');
}

static void take_link(struct json *json, const struct nlmsghdr *message)
{
    const struct ifinfomsg *body = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWLINK)
        return;
    json_open(json, '{');
    size_t left = IFLA_PAYLOAD(message);
    const struct rtattr *attribute = IFLA_RTA(body);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        uint32_t number = 0;
        if (RTA_PAYLOAD(attribute) >= sizeof number)
            memcpy(&number, RTA_DATA(attribute), sizeof number);
        if (attribute->rta_type == IFLA_IFNAME)
            key_string(json, "name", RTA_DATA(attribute));
        else if (attribute->rta_type == IFLA_IFALIAS)
            key_string(json, "alias", RTA_DATA(attribute));
        else if (attribute->rta_type == IFLA_ADDRESS)
            key_hex_bytes(json, "mac", attribute);
        else if (attribute->rta_type == IFLA_MTU)
            key_unsigned(json, "mtu", number);
        else if (attribute->rta_type == IFLA_TXQLEN)
            key_unsigned(json, "txqueuelen", number);
    }
    key_number(json, "index", body->ifi_index);
    json_key(json, "flags");
    json_flags(json, interface_flags, body->ifi_flags);
    key_bool(json, "up", body->ifi_flags & IFF_UP);
    key_bool(json, "loopback", body->ifi_flags & IFF_LOOPBACK);
    json_close(json, '}');
}

static void list(struct json *json, const char *key, int fd, int type, size_t size, taker *take)
{
    json_key(json, key);
    size_t mark = json->used;
    json_open(json, '[');
    int error = fd < 0 ? EBADF : dump(fd, type, size, take, json);
    json_close(json, ']');
    if (error) { /* half a list would be a wrong list */
        json->used = mark;
        json_null(json);
    }
}

void report_network(struct json *json)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    list(json, "interfaces", fd, RTM_GETLINK, sizeof(struct ifinfomsg), take_link);
    list(json, "addresses", fd, RTM_GETADDR, sizeof(struct ifaddrmsg), take_address);
    if (fd >= 0)
        close(fd);
}
