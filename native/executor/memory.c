/* The NUMA memory policy, which the program inherits: set_mempolicy(2). */
#include "executor.h"

#include <string.h>
#include <sys/syscall.h>

#define NODES_MAX 1024 /* MAX_NUMNODES of every architecture is this or less */
#define WORD_BITS (8 * sizeof(unsigned long))

int op_memory_policy(struct machine *m, const struct op_memory_policy *a)
{
    unsigned long mask[NODES_MAX / WORD_BITS] = {0};
    for (uint32_t i = 0; i < a->nodes.count; i++) {
        uint32_t node = a->nodes.items[i];
        if (node >= NODES_MAX)
            return -EINVAL;
        mask[node / WORD_BITS] |= 1UL << node % WORD_BITS;
    }
    /* The kernel counts one bit less than it is told. */
    if (syscall(SYS_set_mempolicy, (long)a->mode, a->nodes.count ? mask : NULL, a->nodes.count ? NODES_MAX + 1L : 0) < 0) {
        int error = errno;
        if (error == EINVAL)
            explain(m, "none of the nodes is allowed, or this kernel lacks the mode or a flag", NULL);
        return -error;
    }
    return 0;
}
