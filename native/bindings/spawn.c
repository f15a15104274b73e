/* Start a program from a descriptor, with clone3 (or clone) and vfork semantics.
 *
 * CLONE_VM | CLONE_VFORK, on a stack of its own, is what posix_spawn of libcs does: the calling thread sleeps until the
 * child has left this memory by execveat or _exit, and no page table is copied (a Python process has a few thousand
 * pages).  Safe in a threaded parent because the child
 *   - runs with every signal blocked until its handlers are reset, so no handler of the parent runs in shared memory,
 *   - makes system calls only: no allocation, no lock, no lazy binding (the module is linked with -z now),
 *   - writes to `struct birth` and its own stack only, which live in one mapping that goes away with the call.
 * The child shares no descriptor table, file-system information or handlers with us (no CLONE_FILES, _FS, _SIGHAND).
 *
 * With a new user or time namespace the memory is copied instead: a process with other credentials must not look into
 * ours, and kernels before 6.2 refuse a shared memory there (a time namespace maps its own vvar pages, clone(2)).
 * `struct birth` is a shared mapping so that its error reaches us then, too.
 *
 * clone3: Linux 5.3; CLONE_INTO_CGROUP: 5.7; CLONE_PIDFD with clone: 5.2 (older kernels ignore it).  execveat: 3.19.
 */
#define _GNU_SOURCE
#include "bindings.h"
#include "numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (64 * 1024)
#define SIGNAL_BYTES 8 /* of the kernel's sigset_t */
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

struct clone_arguments { /* struct clone_args of Linux 5.7; headers may be older */
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_ARGUMENTS_5_3 64

struct birth {
    int program;
    char **argv;
    char **env;
    int *map; /* pairs: number in the child, descriptor */
    size_t fds;
    const int *tasks; /* read before any descriptor moves */
    size_t hierarchies;
    const char *cwd;
    volatile int step;
    volatile int error;
};

struct directory_entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

static int kept(const struct birth *birth, int fd)
{
    for (size_t i = 0; i < birth->fds; i++)
        if (birth->map[2 * i] == fd)
            return 1;
    return fd == birth->program;
}

/* Without close_range (Linux < 5.9, or filtered): what /proc lists, and without /proc every possible number. */
static void close_listed(const struct birth *birth)
{
    alignas(8) char buffer[2048];
    int dir = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;

    if (dir < 0) {
        struct rlimit limit = {0, 0};
        syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
        for (int fd = 0; (rlim_t)fd < limit.rlim_cur && fd < (1 << 20); fd++)
            if (!kept(birth, fd))
                syscall(SYS_close, fd);
        return;
    }
    while ((got = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            struct directory_entry *entry = (struct directory_entry *)(buffer + at);
            int fd = 0;
            at += entry->bytes;
            if (entry->name[0] < '0' || entry->name[0] > '9')
                continue;
            for (const char *digit = entry->name; *digit; digit++)
                fd = fd * 10 + (*digit - '0');
            if (fd != dir && !kept(birth, fd))
                syscall(SYS_close, fd);
        }
    }
    syscall(SYS_close, dir);
}

static void close_others(const struct birth *birth)
{
    unsigned int first = 0;

    for (;;) { /* the gaps between the kept numbers, in ascending order; there are a handful */
        unsigned int next = ~0U;
        for (size_t i = 0; i < birth->fds; i++)
            if ((unsigned int)birth->map[2 * i] >= first && (unsigned int)birth->map[2 * i] < next)
                next = (unsigned int)birth->map[2 * i];
        if ((unsigned int)birth->program >= first && (unsigned int)birth->program < next)
            next = (unsigned int)birth->program;
        if (next > first && syscall(SYS_close_range, first, next == ~0U ? next : next - 1, 0) < 0) {
            close_listed(birth);
            return;
        }
        if (next == ~0U)
            return;
        first = next + 1;
    }
}

static int place_descriptors(struct birth *birth)
{
    int top = 2;

    for (size_t i = 0; i < birth->fds; i++)
        if (birth->map[2 * i] > top)
            top = birth->map[2 * i];
    /* A descriptor at or below the highest target could be overwritten by another's dup: move it out of the way. */
    for (size_t i = 0; i < birth->fds; i++) {
        if (birth->map[2 * i + 1] <= top) {
            int moved = (int)syscall(SYS_fcntl, birth->map[2 * i + 1], F_DUPFD_CLOEXEC, top + 1);
            if (moved < 0)
                return -1;
            birth->map[2 * i + 1] = moved;
        }
    }
    if (birth->program <= top) {
        int moved = (int)syscall(SYS_fcntl, birth->program, F_DUPFD_CLOEXEC, top + 1);
        if (moved < 0)
            return -1;
        birth->program = moved;
    }
    for (size_t i = 0; i < birth->fds; i++)
        if (syscall(SYS_dup3, birth->map[2 * i + 1], birth->map[2 * i], 0) < 0)
            return -1;
    /* The program's own descriptor goes away with the exec. */
    return (int)syscall(SYS_fcntl, birth->program, F_SETFD, FD_CLOEXEC);
}

__attribute__((noreturn)) static void child(void *context)
{
    struct birth *birth = context;
    const unsigned long handler[8] = {0}; /* the kernel's struct sigaction, all zero: SIG_DFL */
    const unsigned char nothing[SIGNAL_BYTES] = {0};

    /* All, not only the handled ones: ignored signals (Python ignores SIGPIPE) stay ignored over execve otherwise. */
    for (int signal = 1; signal <= 64; signal++)
        syscall(SYS_rt_sigaction, signal, handler, NULL, SIGNAL_BYTES);
    /* "0" in `tasks` moves the writing thread, and since Linux 5.17 without the lock that keeps every process from
     * forking: taking that one waits for an RCU grace period, some 10 ms.  `cgroup.procs` always takes it. */
    birth->step = SPAWN_TASKS;
    for (size_t i = 0; i < birth->hierarchies; i++)
        if (syscall(SYS_write, birth->tasks[i], "0", 1) < 0)
            goto failed;
    birth->step = SPAWN_CHDIR;
    if (birth->cwd && syscall(SYS_chdir, birth->cwd) < 0)
        goto failed;
    birth->step = SPAWN_DUP;
    if (place_descriptors(birth) < 0)
        goto failed;
    birth->step = SPAWN_CLOSE;
    close_others(birth);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, nothing, NULL, SIGNAL_BYTES);
    birth->step = SPAWN_EXEC;
    syscall(SYS_execveat, birth->program, "", birth->argv, birth->env, AT_EMPTY_PATH);
failed:
    birth->error = errno;
    for (;;)
        syscall(SYS_exit_group, 127);
}

/* The system call, and in the child a call of child(context) on the new stack.  Where we have no assembly the child
 * continues on a copy of this stack: the caller then asks for no CLONE_VM. */
#if defined(__x86_64__)
#define OWN_STACK 1
static long clone_call(long number, long a, long b, long c, void *context)
{
    register long result __asm__("rax") = number;
    register void (*entry)(void *) __asm__("r8") = child;
    register void *argument __asm__("r9") = context;
    register long none __asm__("r10") = 0;

    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "movq %%r9, %%rdi\n\t"
                     "callq *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "+r"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(entry), "r"(argument), "r"(none)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined(__aarch64__)
#define OWN_STACK 1
static long clone_call(long number, long a, long b, long c, void *context)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    register void (*entry)(void *) __asm__("x5") = child;
    register void *argument __asm__("x6") = context;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x30, xzr\n\t"
                     "mov x0, x6\n\t"
                     "blr x5\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(entry), "r"(argument)
                     : "memory", "cc");
    return x0;
}
#else
#define OWN_STACK 0
static long clone_call(long number, long a, long b, long c, void *context)
{
#if defined(__s390x__)
    long pid = number == SYS_clone ? syscall(number, b, a, c, 0L, 0L) : syscall(number, a, b, c);
#else
    long pid = syscall(number, a, b, c, 0L, 0L);
#endif
    if (pid == 0)
        child(context);
    return pid < 0 ? -errno : pid;
}
#endif

static size_t strings(const char *block, size_t bytes)
{
    size_t count = 0;

    for (size_t i = 0; i < bytes; i++)
        count += block[i] == '\0';
    return count;
}

static char **point(char **to, const char *block, size_t bytes)
{
    for (const char *at = block; at < block + bytes; at += strlen(at) + 1)
        *to++ = (char *)at;
    *to++ = NULL;
    return to;
}

static long start(struct birth *birth, char *stack, int cgroup, uint64_t flags, int classic, int *pidfd)
{
    long pid;

    flags |= CLONE_VFORK | CLONE_PIDFD;
    if (OWN_STACK && !(flags & (CLONE_NEWUSER | CLONE_NEWTIME)))
        flags |= CLONE_VM;
    if (!classic) {
        struct clone_arguments args = {
            .flags = flags | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
            .pidfd = (uint64_t)(uintptr_t)pidfd,
            .exit_signal = SIGCHLD,
            .stack = OWN_STACK ? (uint64_t)(uintptr_t)stack : 0,
            .stack_size = OWN_STACK ? STACK_BYTES : 0,
            .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
        };
        /* The short form where it does, so that 5.3 to 5.6, which know no cgroup member, take it. */
        size_t size = cgroup >= 0 ? sizeof args : CLONE_ARGUMENTS_5_3;
        return clone_call(SYS_clone3, (long)(uintptr_t)&args, (long)size, 0, birth);
    }
    pid = clone_call(SYS_clone, (long)(flags | SIGCHLD), OWN_STACK ? (long)(uintptr_t)(stack + STACK_BYTES) : 0,
                     (long)(uintptr_t)pidfd, birth);
    if (pid > 0 && *pidfd < 0) { /* before 5.2 the flag was ignored; pidfd_open is 5.3 */
        long opened = syscall(SYS_pidfd_open, (int)pid, 0);
        *pidfd = opened < 0 ? -1 : (int)opened;
    }
    return pid;
}

int seatrial_spawn(int program, const char *argv, size_t argv_bytes, const char *env, size_t env_bytes, const int *map,
                   size_t fds, const int *tasks, size_t hierarchies, int cgroup, uint64_t flags, const char *cwd,
                   int classic, int *result)
{
    const unsigned char all[SIGNAL_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255};
    unsigned char previous[SIGNAL_BYTES];
    size_t pointers = strings(argv, argv_bytes) + strings(env, env_bytes) + 2;
    size_t header = (sizeof(struct birth) + pointers * sizeof(char *) + fds * 2 * sizeof(int) + 63) & ~(size_t)63;
    size_t bytes = header + STACK_BYTES;
    struct birth *birth;
    char **slots;
    long pid;
    int pidfd = -1, error;

    result[0] = result[1] = -1;
    result[2] = SPAWN_CLONE;
    if ((flags & ~(uint64_t)NAMESPACES) != 0 || (classic && (cgroup >= 0 || (flags & CLONE_NEWTIME) != 0)))
        return -EINVAL; /* CLONE_NEWTIME lies in clone's exit signal; clone cannot name a cgroup */
    birth = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (birth == MAP_FAILED)
        return -errno;
    slots = (char **)(birth + 1);
    birth->program = program;
    birth->argv = slots;
    birth->env = point(slots, argv, argv_bytes);
    birth->map = (int *)point(birth->env, env, env_bytes);
    if (fds > 0)
        memcpy(birth->map, map, fds * 2 * sizeof(int));
    birth->fds = fds;
    birth->tasks = tasks;
    birth->hierarchies = hierarchies;
    birth->cwd = cwd;
    birth->step = SPAWN_CLONE;

    /* The raw call: libc's would leave its own two signals unblocked. */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, previous, SIGNAL_BYTES);
    pid = start(birth, (char *)birth + header, cgroup, flags, classic, &pidfd);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, previous, NULL, SIGNAL_BYTES);

    result[2] = birth->step;
    error = birth->error;
    munmap(birth, bytes);
    if (pid < 0)
        return (int)pid;
    if (error == 0 && result[2] == SPAWN_EXEC) {
        result[0] = (int)pid;
        result[1] = pidfd;
        return 0;
    }
    /* It has exited: reap it.  By pidfd where there is one, so that nobody else's reaping can make it another pid. */
    while (syscall(SYS_waitid, pidfd >= 0 ? WAIT_PIDFD : P_PID, pidfd >= 0 ? pidfd : (int)pid, NULL, WEXITED | __WALL, NULL) < 0 &&
           errno == EINTR)
        ;
    if (pidfd >= 0)
        close(pidfd);
    return error ? -error : -ESRCH; /* killed before it could exec */
}
