/* The meeting points with the parent: sync, and the gate where a created container waits for its start. */
#include "executor.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#include "message.h"

/* The parent is gone or has changed its mind: nobody needs a report. */
static void __attribute__((noreturn)) leave(void)
{
    _exit(1);
}

static int wait_for_go(struct machine *m, uint32_t point)
{
    int r = message_send(m, MESSAGE_SYNC, (int32_t)point, 0, NULL, -1);
    if (r == -EPIPE || r == -ECONNRESET)
        leave();
    if (r < 0)
        return r;
    r = message_receive(m->channel);
    if (r == 0 || r == -ECONNRESET || r == MESSAGE_ABORT)
        leave();
    if (r < 0)
        return r;
    return r == MESSAGE_GO ? 0 : -EPROTO;
}

int op_sync(struct machine *m, const struct op_sync *a)
{
    /* A parent that is not root may write our uid_map only while the /proc files belong to our user (proc(5)). */
    bool lift = a->point == SYNC_IDMAP && m->nondumpable;
    if (lift && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
        return -errno;
    int r = wait_for_go(m, a->point);
    if (lift && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 && r == 0)
        r = -errno;
    return r;
}

int op_gate(struct machine *m, const struct op_gate *a)
{
    int listener = (int)a->fd;
    if (m->channel >= 0)
        close(m->channel);
    m->channel = -1;
    for (;;) {
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (peer < 0)
            return -errno;
        int kind = message_receive(peer);
        if (kind == MESSAGE_ABORT)
            leave();
        if (kind == MESSAGE_GO) {
            /* A second `start` is refused from here on: its connection is reset, in the backlog too. */
            close(listener);
            m->channel = peer;
            return 0;
        }
        close(peer); /* a `start` that died before it said go */
    }
}
