/* A JSON writer over one bounded buffer.  Commas are placed by looking at the last byte, so callers just append. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_LIMIT (64u << 20) /* a line longer than this is given up: `overflow` */

struct json {
    char *text;
    size_t used;
    size_t size;
    bool mapped; /* text was mapped by grow() */
    bool overflow;
};

void json_reset(struct json *json, char *initial, size_t size);
void json_free(struct json *json);

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
void json_key(struct json *json, const char *key);
void json_null(struct json *json);
void json_bool(struct json *json, bool value);
void json_number(struct json *json, int64_t value);
void json_unsigned(struct json *json, uint64_t value);
void json_bytes(struct json *json, const char *bytes, size_t length); /* as a string */
void json_string(struct json *json, const char *text);                /* NULL: null */
void json_hex(struct json *json, uint64_t value);                     /* 16 digits, as in /proc/PID/status */
void json_errno(struct json *json, int error);                        /* "EPERM"; 0: null */

void key_null(struct json *json, const char *key);
void key_bool(struct json *json, const char *key, bool value);
void key_number(struct json *json, const char *key, int64_t value);
void key_unsigned(struct json *json, const char *key, uint64_t value);
void key_string(struct json *json, const char *key, const char *text);
void key_hex(struct json *json, const char *key, uint64_t value);
void key_count(struct json *json, const char *key, long value); /* a system call's result: negative: null */

char *decimal(char *buffer, int64_t value); /* writes digits and a NUL, returns buffer; 21 bytes suffice */
