/* Target: the plan decoder.  Every byte of what it hands out is read: a pointer that is wrong is a sanitizer's report. */
#include "decode.c"
#include "touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct plan plan;
    char refusal[REFUSAL_BYTES];
    unsigned char *data = malloc(size ? size : 1); /* exactly: one byte further is a report */
    if (!data)
        return 0;
    memcpy(data, input, size);
    if (plan_decode(data, size, &plan, refusal) == 0) {
        for (uint32_t i = 0; i < plan.count; i++)
            touch_operation(&plan.operations[i]);
        plan_free(&plan);
    } else if (!refusal[0] || strlen(refusal) >= sizeof(refusal)) {
        abort(); /* a refusal has a reason */
    }
    free(data);
    return 0;
}
