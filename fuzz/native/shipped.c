/* What the executor's front end stands on.  The operation in descriptors.c makes room for the target's. */
#define op_close_fds shipped_close_fds
#include "descriptors.c"
#include "message.c"
#include "text.c"
