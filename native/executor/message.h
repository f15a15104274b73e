/* Messages to and from the parent; their kinds are in operations.py. */
#pragma once

#include "executor.h"

/* fd: -1, or a descriptor to pass along.  -EPIPE when the other side is gone, -ENOTCONN without a channel. */
int message_send(struct machine *m, uint32_t kind, int32_t value, int32_t error, const char *text, int fd);
/* The kind of the next message on a socket; 0 at its end; -errno. */
int message_receive(int socket);
/* The descriptor that a message of this kind carries, or -errno. */
int message_receive_descriptor(int socket, uint32_t kind);
void message_warning(struct machine *m, const char *text);
