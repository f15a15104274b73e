/* Table driven: operations.h says which fields an operation has; this file checks every length before it is used. */
#define OPERATION_TABLES
#include "decode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct block {
    struct block *next;
    void *items[];
};

/* What is left of one operation's payload, or of the plan. */
struct cursor {
    unsigned char *at;
    size_t left;
};

static bool take(struct cursor *c, size_t size, unsigned char **bytes)
{
    if (size > c->left)
        return false;
    *bytes = c->at;
    c->at += size;
    c->left -= size;
    return true;
}

static bool take_u16(struct cursor *c, uint16_t *value)
{
    unsigned char *b;
    if (!take(c, 2, &b))
        return false;
    *value = (uint16_t)(b[0] | b[1] << 8);
    return true;
}

static bool take_u32(struct cursor *c, uint32_t *value)
{
    unsigned char *b;
    if (!take(c, 4, &b))
        return false;
    *value = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return true;
}

static bool take_u64(struct cursor *c, uint64_t *value)
{
    uint32_t low, high;
    if (!take_u32(c, &low) || !take_u32(c, &high))
        return false;
    *value = (uint64_t)high << 32 | low;
    return true;
}

/* NULL when it went well, else what is wrong. */
static const char *take_str(struct cursor *c, char **value)
{
    uint32_t length;
    unsigned char *b, *end;
    if (!take_u32(c, &length) || !take(c, length, &b) || !take(c, 1, &end))
        return "is longer than its payload";
    if (*end != '\0')
        return "does not end in NUL";
    if (memchr(b, '\0', length))
        return "has a NUL inside";
    *value = (char *)b;
    return NULL;
}

static void *block(struct plan *plan, size_t pointers)
{
    struct block *b = calloc(1, sizeof(*b) + pointers * sizeof(void *));
    if (!b)
        return NULL;
    b->next = plan->blocks;
    plan->blocks = b;
    return b->items;
}

static const char *take_strs(struct plan *plan, struct cursor *c, struct strs *value)
{
    uint32_t count;
    /* Each takes at least a length and a NUL, so the array's size is bounded by the plan's. */
    if (!take_u32(c, &count) || count > c->left / 5)
        return "has a count larger than its payload";
    value->items = block(plan, (size_t)count + 1);
    if (!value->items)
        return "does not fit in memory";
    value->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const char *wrong = take_str(c, &value->items[i]);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *take_u32s(struct plan *plan, struct cursor *c, struct u32s *value)
{
    uint32_t count;
    if (!take_u32(c, &count) || count > c->left / 4)
        return "has a count larger than its payload";
    value->items = block(plan, (size_t)count / 2 + 1);
    if (!value->items)
        return "does not fit in memory";
    value->count = count;
    for (uint32_t i = 0; i < count; i++)
        take_u32(c, &value->items[i]);
    return NULL;
}

static const char *take_field(struct plan *plan, struct cursor *c, const struct field *f, unsigned char *arguments)
{
    static const char *const cut = "is longer than its payload";
    void *place = arguments + f->offset;
    switch (f->type) {
    case FIELD_U32:
        return take_u32(c, place) ? NULL : cut;
    case FIELD_U64:
    case FIELD_I64:
        return take_u64(c, place) ? NULL : cut;
    case FIELD_STR:
        return take_str(c, place);
    case FIELD_BYTES: {
        struct bytes *b = place;
        unsigned char *data;
        if (!take_u32(c, &b->size) || !take(c, b->size, &data))
            return cut;
        b->data = data;
        return NULL;
    }
    case FIELD_STRS:
        return take_strs(plan, c, place);
    case FIELD_U32S:
        return take_u32s(plan, c, place);
    }
    return "has an unknown type";
}

static const struct operation_kind *kind_of(uint16_t code)
{
    if (code >= sizeof(operation_kinds) / sizeof(operation_kinds[0]) || !operation_kinds[code].name)
        return NULL;
    return &operation_kinds[code];
}

const char *operation_name(uint16_t code)
{
    const struct operation_kind *kind = kind_of(code);
    return kind ? kind->name : "unknown operation";
}

static int refuse(char refusal[REFUSAL_BYTES], int64_t index, const char *name, const char *field, const char *why)
{
    struct text t = {.at = refusal, .size = REFUSAL_BYTES};
    refusal[0] = '\0';
    if (index >= 0) {
        text_add(&t, "operation ");
        text_add_number(&t, index);
        if (name) {
            text_add(&t, " (");
            text_add(&t, name);
            text_add(&t, ")");
        }
        text_add(&t, ": ");
    }
    if (field) {
        text_add(&t, "argument ");
        text_add(&t, field);
        text_add(&t, " ");
    }
    text_add(&t, why);
    return -EINVAL;
}

static int decode_operation(struct plan *plan, struct cursor *all, uint32_t index, char refusal[REFUSAL_BYTES])
{
    struct operation *o = &plan->operations[index];
    struct cursor payload;
    uint16_t zero;
    uint32_t length;
    if (!take_u16(all, &o->code) || !take_u16(all, &zero) || !take_u32(all, &length))
        return refuse(refusal, index, NULL, NULL, "the plan ends in its header");
    const struct operation_kind *kind = kind_of(o->code);
    if (!kind)
        return refuse(refusal, index, NULL, NULL, "unknown opcode");
    if (zero)
        return refuse(refusal, index, kind->name, NULL, "reserved bits are set");
    payload.left = length;
    if (!take(all, length, &payload.at))
        return refuse(refusal, index, kind->name, NULL, "the payload is longer than the plan");
    for (uint8_t i = 0; i < kind->count; i++) {
        const char *wrong = take_field(plan, &payload, &kind->fields[i], (unsigned char *)&o->as);
        if (wrong)
            return refuse(refusal, index, kind->name, kind->fields[i].name, wrong);
    }
    if (payload.left)
        return refuse(refusal, index, kind->name, NULL, "bytes follow the last argument");
    return 0;
}

static int decode_all(struct cursor *c, struct plan *plan, char refusal[REFUSAL_BYTES])
{
    size_t size = c->left;
    uint32_t version, count, total;
    unsigned char *magic;
    if (!take(c, 4, &magic) || !take_u32(c, &version) || !take_u32(c, &count) || !take_u32(c, &total))
        return refuse(refusal, -1, NULL, NULL, "the plan is shorter than its header");
    if (memcmp(magic, PLAN_MAGIC, 4) != 0)
        return refuse(refusal, -1, NULL, NULL, "not a plan: wrong magic");
    if (version != PLAN_VERSION)
        return refuse(refusal, -1, NULL, NULL, "the plan has another version");
    if (total != size)
        return refuse(refusal, -1, NULL, NULL, "the plan's size is not what its header says");
    if (count == 0 || count > c->left / 8)
        return refuse(refusal, -1, NULL, NULL, "the operation count does not fit the plan's size");
    plan->operations = calloc(count, sizeof(struct operation));
    if (!plan->operations)
        return refuse(refusal, -1, NULL, NULL, "the plan does not fit in memory");
    plan->count = count;
    for (uint32_t i = 0; i < count; i++) {
        int r = decode_operation(plan, c, i, refusal);
        if (r < 0)
            return r;
        bool last = i == count - 1;
        if ((plan->operations[i].code == OP_EXEC) != last)
            return refuse(refusal, i, operation_name(plan->operations[i].code), NULL,
                          last ? "the plan does not end in exec" : "exec is not the last operation");
    }
    if (c->left)
        return refuse(refusal, -1, NULL, NULL, "bytes follow the last operation");
    if (plan->operations[count - 1].as.exec_.args.count == 0)
        return refuse(refusal, count - 1, "exec", "args", "is empty");
    return 0;
}

int plan_decode(unsigned char *data, size_t size, struct plan *plan, char refusal[REFUSAL_BYTES])
{
    struct cursor c = {data, size};
    *plan = (struct plan){0};
    refusal[0] = '\0';
    if (size > PLAN_BYTES_MAX)
        return refuse(refusal, -1, NULL, NULL, "the plan is too large");
    int r = decode_all(&c, plan, refusal);
    if (r < 0)
        plan_free(plan);
    return r;
}

void plan_free(struct plan *plan)
{
    while (plan->blocks) {
        struct block *next = plan->blocks->next;
        free(plan->blocks);
        plan->blocks = next;
    }
    free(plan->operations);
    *plan = (struct plan){0};
}
