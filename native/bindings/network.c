/* A netlink socket in another network namespace.
 *
 * A socket belongs for good to the namespace of the thread that made it.  A thread of our own makes it and ends: the
 * caller's threads never leave their namespace, not even when something fails half way, and nothing is forked. */
#define _GNU_SOURCE
#include "bindings.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

struct order {
    int namespace, protocol, result;
};

static void *make_socket(void *argument)
{
    struct order *order = argument;

    if (setns(order->namespace, CLONE_NEWNET) == 0)
        order->result = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, order->protocol);
    if (order->result < 0)
        order->result = -errno;
    return NULL;
}

int seatrial_netlink_socket(int namespace, int protocol)
{
    struct order order = {namespace, protocol, -1};
    sigset_t all, before;
    pthread_t thread;
    int error;

    if (namespace < 0) {
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        return fd < 0 ? -errno : fd;
    }
    sigfillset(&all); /* handlers of the program run in its own threads */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&thread, NULL, make_socket, &order);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return -error;
    pthread_join(thread, NULL);
    return order.result;
}
