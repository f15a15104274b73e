/* Text without stdio: printf and its locales are most of a static program's size. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct text {
    char *at; /* always ends in NUL */
    size_t size, used;
};

#define TEXT(buffer) ((struct text){.at = (buffer), .size = sizeof(buffer)})

/* Append; what does not fit is cut off. */
void text_add(struct text *t, const char *s);
void text_add_number(struct text *t, int64_t value);
