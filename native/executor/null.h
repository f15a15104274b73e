#pragma once

#include "executor.h"

#include <sys/stat.h>

/* O_PATH of the container's /dev/null, which really is character device 1:3 (CVE-2025-31133); stays the machine's. */
int null_device(struct machine *m);
bool is_null(const struct stat *st);
