#define _GNU_SOURCE
#include "json.h"

#include <string.h>
#include <sys/mman.h>

void json_reset(struct json *json, char *initial, size_t size)
{
    json->text = initial;
    json->used = 0;
    json->size = size;
    json->mapped = false;
    json->overflow = false;
}

void json_free(struct json *json)
{
    if (json->mapped)
        munmap(json->text, json->size);
    json_reset(json, NULL, 0);
}

/* mmap, not malloc: a report must not fail because a filter lets brk fail. */
static bool grow(struct json *json, size_t more)
{
    size_t size = json->size ? json->size : 4096;
    while (size - json->used < more) {
        if (size >= JSON_LIMIT)
            return false;
        size *= 2;
    }
    char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return false;
    if (json->used > 0)
        memcpy(text, json->text, json->used);
    if (json->mapped)
        munmap(json->text, json->size);
    json->text = text;
    json->size = size;
    json->mapped = true;
    return true;
}

static void put(struct json *json, const char *bytes, size_t length)
{
    if (json->overflow || length == 0)
        return;
    if (json->size - json->used < length && !grow(json, length)) {
        json->overflow = true;
        return;
    }
    memcpy(json->text + json->used, bytes, length);
    json->used += length;
}

static void separate(struct json *json)
{
    if (json->used == 0)
        return;
    char last = json->text[json->used - 1];
    if (last != '{' && last != '[' && last != ':')
        put(json, ",", 1);
}

void json_open(struct json *json, char bracket)
{
    separate(json);
    put(json, &bracket, 1);
}

void json_close(struct json *json, char bracket)
{
    put(json, &bracket, 1);
}

void json_null(struct json *json)
{
    separate(json);
    put(json, "null", 4);
}

void json_bool(struct json *json, bool value)
{
    separate(json);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

static char *digits(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

void json_unsigned(struct json *json, uint64_t value)
{
    char buffer[20];
    char *start = digits(buffer + sizeof buffer, value);
    separate(json);
    put(json, start, (size_t)(buffer + sizeof buffer - start));
}

char *decimal(char *buffer, int64_t value)
{
    char reversed[20];
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *start = digits(reversed + sizeof reversed, magnitude);
    size_t length = (size_t)(reversed + sizeof reversed - start);
    size_t sign = value < 0;
    if (sign)
        buffer[0] = '-';
    memcpy(buffer + sign, start, length);
    buffer[sign + length] = 0;
    return buffer;
}

void json_number(struct json *json, int64_t value)
{
    char buffer[24];
    separate(json);
    decimal(buffer, value);
    put(json, buffer, strlen(buffer));
}

void json_hex(struct json *json, uint64_t value)
{
    char buffer[18] = "\"";
    for (int i = 0; i < 16; i++)
        buffer[16 - i] = "0123456789abcdef"[value >> (4 * i) & 15];
    buffer[17] = '"';
    separate(json);
    put(json, buffer, sizeof buffer);
}

/* The length of the UTF-8 sequence at `bytes`, 0 if there is none.  RFC 3629: the second byte's range depends on the
 * first, which excludes overlong forms, surrogates and what is above U+10FFFF. */
static size_t utf8_length(const unsigned char *bytes, size_t left)
{
    unsigned char first = bytes[0], low = 0x80, high = 0xbf;
    size_t length;
    if (first < 0x80)
        return 1;
    else if (first >= 0xc2 && first < 0xe0)
        length = 2;
    else if (first >= 0xe0 && first < 0xf0)
        length = 3;
    else if (first >= 0xf0 && first < 0xf5)
        length = 4;
    else
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (length > left || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* What Unicode calls a line end is escaped, though JSON does not ask for it: readers split the output into lines.
 * Returns the length of its UTF-8 form, 0 for anything else. */
static size_t line_end(const char *bytes, size_t left, const char **escape)
{
    static const char forms[][4] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    static const char *const escapes[] = {"\\u0085", "\\u2028", "\\u2029"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t length = strlen(forms[i]);
        if (length <= left && memcmp(bytes, forms[i], length) == 0) {
            *escape = escapes[i];
            return length;
        }
    }
    return 0;
}

void json_bytes(struct json *json, const char *bytes, size_t length)
{
    separate(json);
    put(json, "\"", 1);
    size_t plain = 0; /* start of the run that needs no escape */
    size_t i = 0;
    while (i < length) {
        unsigned char byte = (unsigned char)bytes[i];
        size_t sequence = utf8_length((const unsigned char *)bytes + i, length - i);
        const char *escape;
        size_t end = sequence > 1 ? line_end(bytes + i, length - i, &escape) : 0;
        if (end > 0) {
            put(json, bytes + plain, i - plain);
            put(json, escape, 6);
            plain = i += end;
            continue;
        }
        if (sequence > 0 && byte >= 0x20 && byte != '"' && byte != '\\') {
            i += sequence;
            continue;
        }
        put(json, bytes + plain, i - plain);
        if (byte == '"' || byte == '\\')
            put(json, (char[]){'\\', (char)byte}, 2);
        else if (byte == '\n')
            put(json, "\\n", 2);
        else if (byte == '\t')
            put(json, "\\t", 2);
        else
            put(json, (char[]){'\\', 'u', '0', '0', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]}, 6);
        plain = ++i;
    }
    put(json, bytes + plain, length - plain);
    put(json, "\"", 1);
}

void json_string(struct json *json, const char *text)
{
    if (text)
        json_bytes(json, text, strlen(text));
    else
        json_null(json);
}

void json_errno(struct json *json, int error)
{
    char number[24];
    if (error == 0)
        json_null(json);
    else
        json_string(json, strerrorname_np(error) ? strerrorname_np(error) : decimal(number, error));
}

void json_key(struct json *json, const char *key)
{
    json_string(json, key);
    put(json, ":", 1);
}

void key_null(struct json *json, const char *key)
{
    json_key(json, key);
    json_null(json);
}

void key_bool(struct json *json, const char *key, bool value)
{
    json_key(json, key);
    json_bool(json, value);
}

void key_number(struct json *json, const char *key, int64_t value)
{
    json_key(json, key);
    json_number(json, value);
}

void key_unsigned(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

void key_string(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_string(json, text);
}

void key_hex(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_hex(json, value);
}

void key_count(struct json *json, const char *key, long value)
{
    if (value < 0)
        key_null(json, key);
    else
        key_number(json, key, value);
}
