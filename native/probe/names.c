/* Words for the kernel's bits, and the parsers of a verb's arguments. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

bool parse_integer(const char *text, int64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return false;
    errno = 0;
    *value = text[0] == '-' ? strtoll(text, &end, 0) : (int64_t)strtoull(text, &end, 0);
    return errno == 0 && *end == 0;
}

bool parse_octal(const char *text, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    *value = strtoull(text, &end, 8);
    return *end == 0;
}

bool parse_seconds(const char *text, int64_t *nanoseconds)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    uint64_t seconds = strtoull(text, &end, 10);
    int64_t fraction = 0;
    if (*end == '.') {
        int64_t unit = 100000000;
        for (end++; isdigit((unsigned char)*end); end++, unit /= 10)
            fraction += (*end - '0') * unit;
    }
    if (*end != 0 || seconds > 1000000000)
        return false;
    *nanoseconds = (int64_t)seconds * 1000000000 + fraction;
    return true;
}

static const struct name *entry(const struct name *table, const char *text, size_t length)
{
    for (; table->name; table++)
        if (strlen(table->name) == length && strncmp(table->name, text, length) == 0)
            return table;
    return NULL;
}

bool parse_flags(const struct name *table, const char *text, uint64_t *value)
{
    *value = 0;
    if (strcmp(text, "-") == 0 || strcmp(text, "none") == 0)
        return true;
    while (*text) {
        size_t length = strcspn(text, ",|");
        const struct name *found = entry(table, text, length);
        char *end;
        if (found)
            *value |= found->value;
        else if (isdigit((unsigned char)*text) && (*value |= strtoull(text, &end, 0), end == text + length))
            ;
        else
            return false;
        text += length;
        text += *text != 0;
    }
    return true;
}

const char *name_of(const struct name *table, uint64_t value)
{
    for (; table->name; table++)
        if (table->value == value)
            return table->name;
    return NULL;
}

void json_flags(struct json *json, const struct name *table, uint64_t value)
{
    json_open(json, '[');
    for (; table->name; table++)
        if (table->value && (value & table->value) == table->value)
            json_string(json, table->name);
    json_close(json, ']');
}

bool parse_signal(const char *text, int *number)
{
    int64_t value;
    if (parse_integer(text, &value)) {
        *number = (int)value;
        return value >= 0 && value <= 64;
    }
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    if (strncmp(text, "RTMIN", 5) == 0 || strncmp(text, "RTMAX", 5) == 0) {
        int base = text[3] == 'I' ? SIGRTMIN : SIGRTMAX;
        int64_t offset = 0;
        if (text[5] && !(strchr("+-", text[5]) && parse_integer(text + 6, &offset)))
            return false;
        *number = (int)(base + (text[5] == '-' ? -offset : offset));
        return *number > 0 && *number <= 64;
    }
    for (int i = 1; i < 32; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcmp(name, text) == 0) {
            *number = i;
            return true;
        }
    }
    return false;
}

const char *signal_name(int number, char buffer[24])
{
    const char *name = number > 0 && number < 32 ? sigabbrev_np(number) : NULL;
    strcpy(buffer, "SIG");
    if (name) {
        strcat(buffer, name);
    } else if (number >= SIGRTMIN && number <= SIGRTMAX) {
        strcat(buffer, "RTMIN+");
        decimal(buffer + strlen(buffer), number - SIGRTMIN);
    } else {
        decimal(buffer, number);
    }
    return buffer;
}
