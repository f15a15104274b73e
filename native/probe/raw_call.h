/* A system call with no library in between: no errno, and no return address that a vfork child could overwrite. */
#pragma once

#if defined __x86_64__
static inline long raw_call(long number, const unsigned long a[6])
{
    register unsigned long r10 __asm__("r10") = a[3];
    register unsigned long r8 __asm__("r8") = a[4];
    register unsigned long r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined __aarch64__
static inline long raw_call(long number, const unsigned long a[6])
{
    register unsigned long x8 __asm__("x8") = (unsigned long)number;
    register unsigned long x0 __asm__("x0") = a[0];
    register unsigned long x1 __asm__("x1") = a[1];
    register unsigned long x2 __asm__("x2") = a[2];
    register unsigned long x3 __asm__("x3") = a[3];
    register unsigned long x4 __asm__("x4") = a[4];
    register unsigned long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return (long)x0;
}
#else
#error "raw_call: this architecture is not supported yet"
#endif

/* The 32-bit entry of an x86-64 kernel: seccomp sees AUDIT_ARCH_I386.  Pointers must lie below 4 GiB. */
#if defined __x86_64__
#define HAVE_RAW_CALL_32 1
static inline long raw_call_32(long number, const unsigned long a[6])
{
    int result;
    __asm__ volatile("push %%rbp\n\tmov %7, %%ebp\n\tint $0x80\n\tpop %%rbp"
                     : "=a"(result)
                     : "a"((int)number), "b"((int)a[0]), "c"((int)a[1]), "d"((int)a[2]), "S"((int)a[3]), "D"((int)a[4]),
                       "r"((int)a[5])
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif
