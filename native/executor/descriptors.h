#pragma once

#include "executor.h"

/* Mark every descriptor from `first` up close-on-exec.  close_range: Linux 5.9, its CLOEXEC flag 5.11. */
int descriptors_cloexec(unsigned first);
