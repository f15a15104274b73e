/* The kernel's constants by name.  Values that Debian 12's headers lack are given by number: they are ABI. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "probe.h"

const struct name mount_flag_names[] = {
    {"ro", MS_RDONLY}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC}, {"sync", MS_SYNCHRONOUS},
    {"remount", MS_REMOUNT}, {"mand", MS_MANDLOCK}, {"dirsync", MS_DIRSYNC}, {"nosymfollow", 256},
    {"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}, {"bind", MS_BIND}, {"move", MS_MOVE}, {"rec", MS_REC},
    {"rbind", MS_BIND | MS_REC}, {"silent", MS_SILENT}, {"unbindable", MS_UNBINDABLE}, {"private", MS_PRIVATE},
    {"slave", MS_SLAVE}, {"shared", MS_SHARED}, {"rprivate", MS_PRIVATE | MS_REC}, {"rslave", MS_SLAVE | MS_REC},
    {"rshared", MS_SHARED | MS_REC}, {"runbindable", MS_UNBINDABLE | MS_REC}, {"relatime", MS_RELATIME},
    {"strictatime", MS_STRICTATIME}, {"lazytime", MS_LAZYTIME}, {"rw", 0}, {NULL, 0}
};

/* f_flags of statfs(2) */
const struct name statfs_flag_names[] = {
    {"ro", 1}, {"nosuid", 2}, {"nodev", 4}, {"noexec", 8}, {"sync", 16}, {"mand", 64}, {"noatime", 1024},
    {"nodiratime", 2048}, {"relatime", 4096}, {"nosymfollow", 8192}, {NULL, 0}
};

const struct name umount_flag_names[] = {
    {"force", MNT_FORCE}, {"detach", MNT_DETACH}, {"expire", MNT_EXPIRE}, {"nofollow", UMOUNT_NOFOLLOW}, {NULL, 0}
};

const struct name open_flag_names[] = {
    {"rdonly", O_RDONLY}, {"wronly", O_WRONLY}, {"rdwr", O_RDWR}, {"creat", O_CREAT}, {"excl", O_EXCL},
    {"trunc", O_TRUNC}, {"append", O_APPEND}, {"nonblock", O_NONBLOCK}, {"directory", O_DIRECTORY},
    {"nofollow", O_NOFOLLOW}, {"path", O_PATH}, {"tmpfile", O_TMPFILE}, {"noatime", O_NOATIME}, {"sync", O_SYNC},
    {"direct", O_DIRECT}, {NULL, 0}
};

const struct name clone_flag_names[] = {
    {"mnt", CLONE_NEWNS}, {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},
    {"network", CLONE_NEWNET}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}, {"user", CLONE_NEWUSER},
    {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}, {"fs", CLONE_FS}, {"files", CLONE_FILES}, {NULL, 0}
};

const struct name filesystem_names[] = {
    {"proc", PROC_SUPER_MAGIC}, {"sysfs", SYSFS_MAGIC}, {"tmpfs", TMPFS_MAGIC}, {"devpts", DEVPTS_SUPER_MAGIC},
    {"mqueue", 0x19800202}, {"cgroup", CGROUP_SUPER_MAGIC}, {"cgroup2", CGROUP2_SUPER_MAGIC},
    {"ext4", EXT4_SUPER_MAGIC}, {"overlay", OVERLAYFS_SUPER_MAGIC}, {"xfs", XFS_SUPER_MAGIC},
    {"btrfs", BTRFS_SUPER_MAGIC}, {"ramfs", RAMFS_MAGIC}, {"nsfs", NSFS_MAGIC}, {"fuse", FUSE_SUPER_MAGIC},
    {"bpf", BPF_FS_MAGIC}, {"debugfs", DEBUGFS_MAGIC}, {"tracefs", TRACEFS_MAGIC}, {"securityfs", SECURITYFS_MAGIC},
    {"hugetlbfs", HUGETLBFS_MAGIC}, {"9p", V9FS_MAGIC}, {"nfs", NFS_SUPER_MAGIC}, {"pipefs", PIPEFS_MAGIC},
    {"sockfs", SOCKFS_MAGIC}, {NULL, 0}
};

const struct name policy_names[] = {
    {"SCHED_OTHER", SCHED_OTHER}, {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR}, {"SCHED_BATCH", SCHED_BATCH},
    {"SCHED_ISO", 4}, {"SCHED_IDLE", SCHED_IDLE}, {"SCHED_DEADLINE", SCHED_DEADLINE}, {"SCHED_EXT", 7}, {NULL, 0}
};

/* families and types of `socket`; one table: no word is in both */
const struct name socket_names[] = {
    {"unix", AF_UNIX}, {"inet", AF_INET}, {"inet6", AF_INET6}, {"netlink", AF_NETLINK}, {"packet", AF_PACKET},
    {"vsock", 40}, {"alg", AF_ALG}, {"stream", SOCK_STREAM}, {"dgram", SOCK_DGRAM}, {"raw", SOCK_RAW},
    {"seqpacket", SOCK_SEQPACKET}, {NULL, 0}
};

const struct name prctl_get_names[] = {
    {"pdeathsig", PR_GET_PDEATHSIG}, {"dumpable", PR_GET_DUMPABLE}, {"keepcaps", PR_GET_KEEPCAPS},
    {"seccomp", PR_GET_SECCOMP}, {"securebits", PR_GET_SECUREBITS}, {"timerslack", PR_GET_TIMERSLACK},
    {"child_subreaper", PR_GET_CHILD_SUBREAPER}, {"no_new_privs", PR_GET_NO_NEW_PRIVS},
    {"thp_disable", PR_GET_THP_DISABLE}, {"speculation_ctrl", PR_GET_SPECULATION_CTRL},
    {"io_flusher", PR_GET_IO_FLUSHER}, {"mdwe", 66}, {"name", PR_GET_NAME}, {NULL, 0}
};

const struct name rlimit_names[] = {
    {"RLIMIT_CPU", RLIMIT_CPU}, {"RLIMIT_FSIZE", RLIMIT_FSIZE}, {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_STACK", RLIMIT_STACK}, {"RLIMIT_CORE", RLIMIT_CORE}, {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC}, {"RLIMIT_NOFILE", RLIMIT_NOFILE}, {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_AS", RLIMIT_AS}, {"RLIMIT_LOCKS", RLIMIT_LOCKS}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE}, {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME}, {NULL, 0}
};
