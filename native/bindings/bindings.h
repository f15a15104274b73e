/* What Python sees of the kernel.
 *
 * build.py hands this file to cffi without its preprocessor lines, and the C files include it: one text, no drift.
 * Rules: a function returns a value >= 0, or a negative errno; it never touches errno for its caller, never raises a
 * signal and allocates nothing that outlives it.  Descriptors that it returns are close-on-exec.
 */
#ifndef SEATRIAL_BINDINGS_H
#define SEATRIAL_BINDINGS_H
#include <stddef.h>
#include <stdint.h>

/* -- spawn.c ------------------------------------------------------------------------------------------------------ */

/* Steps of seatrial_spawn, for result[2]. */
#define SPAWN_CLONE 1
#define SPAWN_CHDIR 2
#define SPAWN_DUP 3
#define SPAWN_CLOSE 4
#define SPAWN_EXEC 5
#define SPAWN_TASKS 6

/* argv and env are blocks of NUL-terminated strings.  map is `fds` pairs (number in the child, descriptor here).
 * tasks: descriptors of `tasks` files of cgroup v1, to which the child writes itself.
 * result: pid, pidfd (-1 where the kernel has none), step that failed. */
int seatrial_spawn(int program, const char *argv, size_t argv_bytes, const char *env, size_t env_bytes, const int *map,
                   size_t fds, const int *tasks, size_t hierarchies, int cgroup, uint64_t flags, const char *cwd,
                   int classic, int *result);

/* -- files.c ------------------------------------------------------------------------------------------------------ */
int seatrial_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int seatrial_sealed_memfd(const char *name, int executable, const char *data, size_t bytes, int source);
int seatrial_get_seals(int fd);
int seatrial_flock(int fd, int operation);
int seatrial_close_range(unsigned int first, unsigned int last, unsigned int flags);
int seatrial_ioctl(int fd, unsigned long request, uintptr_t argument);
int seatrial_write_at(int dirfd, const char *path, const char *data, size_t bytes);
int seatrial_read_at(int dirfd, const char *path, char *buffer, size_t bytes);

/* -- notify.c ----------------------------------------------------------------------------------------------------- */
int seatrial_inotify_init(void);
int seatrial_inotify_add_watch(int fd, const char *path, uint32_t mask);

/* -- mounts.c ----------------------------------------------------------------------------------------------------- */
int seatrial_mount(const char *source, const char *target, const char *fstype, unsigned long flags, const char *data);
int seatrial_umount2(const char *target, int flags);
int seatrial_open_tree(int dirfd, const char *path, unsigned int flags);
int seatrial_move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags);
int seatrial_fsopen(const char *fstype, unsigned int flags);
int seatrial_fsconfig(int fd, unsigned int command, const char *key, const char *value, int aux);
int seatrial_fsmount(int fd, unsigned int flags, unsigned int attributes);
int seatrial_mount_setattr(int dirfd, const char *path, unsigned int flags, uint64_t set, uint64_t clear,
                           uint64_t propagation, uint64_t userns);
int seatrial_setns(int fd, int type);
int seatrial_unshare(int flags);

/* -- processes.c -------------------------------------------------------------------------------------------------- */
int seatrial_pidfd_open(int pid, unsigned int flags);
int seatrial_pidfd_send_signal(int pidfd, int signal);
int seatrial_pidfd_getfd(int pidfd, int fd);
/* result: pid, si_code, si_status, user and system time in microseconds, maximum resident set in KiB. */
int seatrial_waitid(int idtype, int id, int options, long *result);
int seatrial_prlimit(int pid, int resource, const uint64_t *set, uint64_t *previous);
int seatrial_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
long seatrial_keyctl(int command, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d);
long seatrial_syscall(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f);
int seatrial_poll(const int *fds, const short *events, short *revents, size_t count, int milliseconds);

/* -- sockets.c ---------------------------------------------------------------------------------------------------- */
int seatrial_socketpair(int type, int *pair);
int seatrial_unix_listen(const char *path, int type, int backlog);
int seatrial_unix_connect(const char *path, int type);
int seatrial_accept(int fd);
int seatrial_send(int fd, const char *data, size_t bytes, const int *fds, size_t count);
/* result: number of descriptors received, message flags. */
int seatrial_receive(int fd, char *data, size_t bytes, int *fds, size_t count, int *result);

/* -- network.c ---------------------------------------------------------------------------------------------------- */
/* AF_NETLINK in the network namespace behind a descriptor; -1: in the caller's. */
int seatrial_netlink_socket(int namespace, int protocol);

/* -- filters.c: seccomp and BPF ----------------------------------------------------------------------------------- */
int seatrial_seccomp_load(const char *filter, size_t instructions, unsigned int flags);
int seatrial_seccomp_probe(unsigned int flags);
/* result: id, pid, flags, number, architecture, instruction pointer, six arguments. */
int seatrial_seccomp_receive(int listener, uint64_t *result);
int seatrial_seccomp_send(int listener, uint64_t id, int64_t value, int error, unsigned int flags);
int seatrial_seccomp_id_valid(int listener, uint64_t id);
int seatrial_seccomp_addfd(int listener, uint64_t id, unsigned int flags, int source, int target, unsigned int fd_flags);
int seatrial_bpf_load(unsigned int type, const char *program, size_t instructions, const char *license, const char *name,
                      char *log, size_t log_bytes);
int seatrial_bpf_attach(int target, int program, unsigned int type, unsigned int flags, int replace);
int seatrial_bpf_detach(int target, int program, unsigned int type);
/* result: flags, number of programs. */
int seatrial_bpf_query(int target, unsigned int type, unsigned int query_flags, unsigned int *ids, unsigned int slots,
                       unsigned int *result);
int seatrial_bpf_by_id(unsigned int id);

#endif
