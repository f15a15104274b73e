/* A program of one system call, for seccomp profiles that allow almost none. */
#include <sys/syscall.h>

void _start(void);
void _start(void)
{
#ifdef __x86_64__
    __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(42));
#endif
    for (;;)
        ;
}
