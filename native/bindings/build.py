"""cffi builder of seatrial.native._native (API mode)."""

from __future__ import annotations

from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef("int dup(int fd);")
ffibuilder.set_source("seatrial.native._native", "#include <unistd.h>\n")
