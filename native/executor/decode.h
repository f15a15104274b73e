/* The plan's decoder: bytes that nobody vouches for in, typed operations out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "operations.h"

/* A plan is one container's environment and arguments (the kernel's own limit is 6 MiB) and a few hundred operations. */
#define PLAN_BYTES_MAX (16u << 20)
#define REFUSAL_BYTES 160

struct plan {
    struct operation *operations;
    uint32_t count;
    struct block *blocks; /* arrays of strs and u32s */
};

/* Decode all of `data`, which stays in use by the result.  0, or -EINVAL and the reason in `refusal`. */
int plan_decode(unsigned char *data, size_t size, struct plan *plan, char refusal[REFUSAL_BYTES]);
void plan_free(struct plan *plan);
const char *operation_name(uint16_t code);
