#pragma once

#include "executor.h"

/* "HOME=DIRECTORY" of a user in the container's /etc/passwd, "HOME=/" when it has none; to be freed. */
int home_of(struct machine *m, uint32_t uid, char **home);
