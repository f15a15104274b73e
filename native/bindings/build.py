"""cffi builder of seatrial.native._native (API mode: a C extension, no parsing or dlopen at import time)."""

from __future__ import annotations

import glob
import os

from cffi import FFI

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# In front of the code that cffi generates, which is written for fewer warnings than ours.
PREAMBLE = """
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "bindings.h"
"""


def declarations() -> str:
    """bindings.h as cffi reads it: constants and functions, without the other preprocessor lines."""
    kept = []
    with open(os.path.join(HERE, "bindings.h"), encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if not line.startswith("#"):
                kept.append(line)
            elif words[0] == "#define" and len(words) == 3:
                kept.append(f"#define {words[1]} ...\n")
    return "".join(kept)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "seatrial.native._native",
    PREAMBLE,
    # setuptools wants paths relative to the project
    sources=sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(HERE, "*.c"))),
    depends=sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(HERE, "*.h"))),
    include_dirs=[os.path.relpath(HERE, ROOT)],
    extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-pthread"],
    # now: the child of spawn.c may not run the dynamic linker
    extra_link_args=["-Wl,-z,now", "-pthread"],
)
