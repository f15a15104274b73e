/* old-kernel ERRNO PROGRAM ARGUMENT...: run PROGRAM on a kernel that answers ERRNO to the calls it has since Linux 4.11.
 * ENOSYS (38) is an old kernel, EPERM (1) the seccomp profile of a container engine that does not know the calls yet. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int calls[] = {
    SYS_clone3,    SYS_openat2,    SYS_fsopen,        SYS_fsconfig,    SYS_fsmount,    SYS_fspick,
    SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_close_range, SYS_faccessat2, SYS_statx,
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

int main(int argc, char **argv)
{
    struct sock_filter filter[2 * CALLS + 2];
    size_t n = 0;
    if (argc < 3)
        return 2;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]));
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 3;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return 3;
    execv(argv[2], argv + 2);
    return 4;
}
