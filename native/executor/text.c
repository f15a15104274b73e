#include "text.h"

#include <stdbool.h>
#include <string.h>

void text_add(struct text *t, const char *s)
{
    size_t length = strlen(s);
    if (length > t->size - t->used - 1)
        length = t->size - t->used - 1;
    memcpy(t->at + t->used, s, length);
    t->used += length;
    t->at[t->used] = '\0';
}

void text_add_number(struct text *t, int64_t value)
{
    char digits[24];
    size_t i = sizeof(digits) - 1;
    bool negative = value < 0;
    uint64_t rest = negative ? -(uint64_t)value : (uint64_t)value;
    digits[i] = '\0';
    do
        digits[--i] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (negative)
        digits[--i] = '-';
    text_add(t, digits + i);
}
