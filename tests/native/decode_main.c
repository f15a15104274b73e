/* Decode each plan on stdin (u32 length, bytes; ...) and say what became of it: one line each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

int main(void)
{
    uint32_t size;
    while (fread(&size, sizeof(size), 1, stdin) == 1) {
        struct plan plan;
        char refusal[REFUSAL_BYTES];
        unsigned char *data = malloc(size ? size : 1); /* exactly: one byte further is an ASan report */
        if (!data || fread(data, 1, size, stdin) != size)
            return 2;
        if (plan_decode(data, size, &plan, refusal) == 0) {
            printf("ok %u %s\n", plan.count, operation_name(plan.operations[plan.count - 1].code));
            plan_free(&plan);
        } else {
            printf("refused %s\n", refusal);
        }
        free(data);
    }
    return 0;
}
