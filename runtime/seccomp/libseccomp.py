"""libseccomp, loaded at run time: the few calls of seccomp(3) that turn rules into a cBPF program.

Imported only for containers with a seccomp profile: ctypes costs milliseconds of start-up, and libseccomp is a library
that a host may lack.
"""

from __future__ import annotations

import ctypes
import errno
import os

from seatrial.runtime.errors import SeatrialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SONAME = "libseccomp.so.2"

# enum scmp_filter_attr
_ATTRIBUTE_OPTIMIZE = 8
_OPTIMIZE_BINARY_TREE = 2

# enum scmp_compare
COMPARE = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

Condition = tuple[int, int, int, int]  # argument index, COMPARE value, datum a, datum b


class _ArgumentCompare(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Library:
    """The loaded library.  Raises SeatrialError when the host does not have it."""

    def __init__(self, soname: str = SONAME) -> None:
        try:
            library = ctypes.CDLL(soname, use_errno=True)
        except OSError as error:
            raise SeatrialError(
                f"seccomp: cannot load {soname}: {error}",
                "install the package libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora, Arch, Alpine)",
            ) from error
        context, u32, name = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
        self.init = library.seccomp_init
        self.init.restype, self.init.argtypes = context, (u32,)
        self.release = library.seccomp_release
        self.release.restype, self.release.argtypes = None, (context,)
        self.attr_set = library.seccomp_attr_set
        self.attr_set.argtypes = (context, ctypes.c_int, u32)
        self.arch_add = library.seccomp_arch_add
        self.arch_add.argtypes = (context, u32)
        self.rule_add = library.seccomp_rule_add_array
        self.rule_add.argtypes = (context, u32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_ArgumentCompare))
        self.export_bpf = library.seccomp_export_bpf
        self.export_bpf.argtypes = (context, ctypes.c_int)
        self._arch_native = library.seccomp_arch_native
        self._arch_native.restype, self._arch_native.argtypes = u32, ()
        self._arch_resolve = library.seccomp_arch_resolve_name
        self._arch_resolve.restype, self._arch_resolve.argtypes = u32, (name,)
        self._resolve = library.seccomp_syscall_resolve_name
        self._resolve.argtypes = (name,)
        self._resolve_arch = library.seccomp_syscall_resolve_name_arch
        self._resolve_arch.argtypes = (u32, name)
        self._api = library.seccomp_api_get
        self._api.restype, self._api.argtypes = ctypes.c_uint, ()

    def api_level(self) -> int:
        """What library and kernel can both do (seccomp_api_get(3)): 5 has SCMP_ACT_NOTIFY."""
        level: int = self._api()
        return level

    def native_arch(self) -> int:
        token: int = self._arch_native()
        return token

    def arch(self, name: str) -> int:
        """The token for ``SCMP_ARCH_X86_64``, which is the AUDIT_ARCH_* number (x32 excepted); 0: unknown here."""
        token: int = self._arch_resolve(name.removeprefix("SCMP_ARCH_").lower().encode())
        return token

    def syscall(self, name: str) -> int | None:
        """The number for rules: negative for a call that other architectures have; None: no architecture has it."""
        number: int = self._resolve(name.encode())
        return None if number == -1 else number

    def syscall_on(self, arch: int, name: str) -> int | None:
        """The number that the kernel uses on an architecture; None: it has no such call."""
        number: int = self._resolve_arch(arch, name.encode())
        return None if number < 0 else number


class Filter:
    """A filter under construction: `with Filter(library, default_action) as filter`."""

    def __init__(self, library: Library, default_action: int) -> None:
        self._library = library
        self._context = library.init(default_action)
        if not self._context:
            raise SeatrialError(f"seccomp_init 0x{default_action:x}: refused by libseccomp")

    def __enter__(self) -> Filter:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.release(self._context)

    def add_arch(self, token: int) -> None:
        self._check("seccomp_arch_add", self._library.arch_add(self._context, token), errno.EEXIST)

    def add_rule(self, action: int, syscall: int, conditions: Sequence[Condition]) -> None:
        array = (_ArgumentCompare * len(conditions))(*[_ArgumentCompare(*condition) for condition in conditions])
        status = self._library.rule_add(self._context, action, syscall, len(conditions), array)
        self._check("seccomp_rule_add", status, errno.EEXIST)

    def optimize(self) -> None:
        """Ask for a binary tree over the syscall numbers; libraries before 2.5 have no such thing."""
        self._library.attr_set(self._context, _ATTRIBUTE_OPTIMIZE, _OPTIMIZE_BINARY_TREE)

    def export(self) -> bytes:
        """The program: an array of struct sock_filter."""
        descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            self._check("seccomp_export_bpf", self._library.export_bpf(self._context, descriptor))
            return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        finally:
            os.close(descriptor)

    def _check(self, call: str, status: int, *harmless: int) -> None:
        if status < 0 and -status not in harmless:
            raise SeatrialError(f"{call}: {errno.errorcode.get(-status, -status)}")
