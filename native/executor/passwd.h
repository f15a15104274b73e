#pragma once

#include "executor.h"

/* "HOME=DIRECTORY" of a user in the container's /etc/passwd, "HOME=/" when it has none; to be freed. */
int home_of(struct machine *m, uint32_t uid, char **home);

/* What `each_line` calls with every line of a file, without its newline: false to stop. */
typedef bool line_reader(char *line, void *context);

/* Read a container's /etc/passwd or /etc/group. -ENOENT, -EINVAL (no regular file), or what open or read said. */
int each_line(struct machine *m, const char *path, line_reader *reader, void *context);
/* Decimal and nothing else, up to 2^32 - 2; 2^32 - 1 is no id. */
bool id_number(const char *text, uint32_t *number);
