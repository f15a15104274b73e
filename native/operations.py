"""The plan's instruction set: one table, read by the Python encoder and by the generator of the C decoder's header.

An operation is (name, opcode, arguments, summary).  Each argument is "name:type" with one of the types

    u32, u64, i64     little endian integers
    str               u32 length, bytes, NUL (no NUL inside)
    bytes             u32 length, bytes
    strs              u32 count, then that many str
    u32s              u32 count, then that many u32

Paths named `target` are container paths: the executor resolves them beneath the rootfs fd and never follows a symlink
out of it.  Paths named `source` are host paths, resolved before the root is changed.  Opcodes are frozen within a
VERSION; the executor refuses a plan of another version.
"""

from __future__ import annotations

MAGIC = b"STPL"
VERSION = 1
# header: magic[4], u32 version, u32 operation count, u32 total bytes (header included); then the operations, each
# u16 opcode, u16 zero, u32 payload length, payload.
HEADER_BYTES = 16

OPERATIONS: tuple[tuple[str, int, tuple[str, ...], str], ...] = (
    # -- talking to the parent, birth, namespaces ---------------------------------------------------------------
    ("sync", 1, ("point:u32",), "tell the parent that POINT is reached and wait for its go"),
    ("setns", 2, ("fd:u32", "type:u32"), "join the namespace behind an inherited descriptor"),
    ("unshare", 3, ("flags:u64",), "leave namespaces for new ones"),
    ("clone", 4, ("flags:u64",),
     "continue in a sibling (CLONE_PARENT) in new namespaces; this stage reports its pid and exits"),
    ("timens_offsets", 5, ("offsets:str",), "write /proc/self/timens_offsets"),
    ("become_root", 6, ("setgroups:u32",),
     "setresgid 0, setresuid 0, and setgroups [] where allowed, in the user namespace just entered"),
    ("nondumpable", 7, (), "PR_SET_DUMPABLE 0, so that the container cannot inspect the executor"),
    ("death_signal", 8, ("signal:u32",), "PR_SET_PDEATHSIG"),
    ("setsid", 9, (), "new session"),
    ("session_keyring", 10, ("name:str", "grant:u32"), "join a new session keyring and OR permission bits into it"),
    ("oom_score_adj", 11, ("value:i64",), "write /proc/self/oom_score_adj"),
    ("loopback_up", 12, (), "bring lo up in a new network namespace"),
    ("hostname", 13, ("name:str",), "sethostname"),
    ("domainname", 14, ("name:str",), "setdomainname"),
    ("reset_affinity", 15, (), "allow all CPUs; refused is not an error"),
    # -- the root and its mounts ---------------------------------------------------------------------------------
    ("propagation", 20, ("path:str", "flags:u64"),
     "change the propagation of a host path's mount in the new mount namespace"),
    ("parent_private", 21, ("path:str",), "make the mount that holds a host path private"),
    ("open_root", 22, ("path:str", "bind:u32"),
     "bind the rootfs on itself (bind=1) and open it: later targets are beneath it"),
    ("mount", 23, ("source:str", "target:str", "fstype:str", "flags:u64", "data:str", "mode:u32"),
     "mount a new filesystem; a missing target becomes a directory; mode 1 (proc, sysfs): a real directory only"),
    ("bind", 24, ("source:str", "target:str", "recursive:u32"),
     "bind mount a host path; a missing target becomes a file or a directory like the source"),
    ("bind_inside", 25, ("source:str", "target:str", "recursive:u32"), "bind mount one container path on another"),
    ("remount", 26, ("target:str", "set:u64", "clear:u64", "data:str", "bind:u32"),
     "change a mount's flags; locked ones that nobody asked to clear are kept (bind=0: of the filesystem itself)"),
    ("mount_attr", 27, ("target:str", "set:u64", "clear:u64", "recursive:u32"), "mount_setattr"),
    ("propagate", 28, ("target:str", "flags:u64"), "change the propagation of a mount in the container"),
    ("copy_up", 29, ("target:str", "flags:u64", "data:str"),
     "mount a tmpfs that starts with the content that it covers"),
    ("mkdir", 30, ("target:str", "mode:u32"), "create a directory and its parents"),
    ("mknod", 31, ("target:str", "mode:u32", "device:u64", "uid:u32", "gid:u32"),
     "create a device or fifo with exact mode and owner; an existing one of the same kind is kept"),
    ("bind_device", 32, ("source:str", "target:str"), "bind mount a host device node"),
    ("symlink", 33, ("text:str", "target:str", "replace:u32"),
     "create a symlink; one that exists is kept, or replaced"),
    ("mask", 34, ("target:str",),
     "hide a path: /dev/null over a file, an empty read-only tmpfs over a directory; missing is fine"),
    ("readonly", 35, ("target:str",), "recursive self bind, remounted read-only; missing is fine"),
    ("pivot_root", 36, (), "pivot_root(., .) into the root and detach the old one"),
    ("move_root", 37, (), "--no-pivot: cover host proc and sysfs, MS_MOVE the root to / and chroot"),
    ("chroot", 38, (), "chroot into the root: no mount namespace of its own"),
    ("sysctl", 39, ("key:str", "value:str"), "write /proc/sys/KEY beneath the container's verified procfs"),
    ("null_stdio", 40, (), "verify the container's /dev/null and reopen stdio that is the host's"),
    ("console", 41, ("width:u32", "height:u32", "uid:u32", "mount:u32"),
     "open a pty in the container's devpts, send the master to the parent, make the slave terminal and stdio"),
    # -- the process ---------------------------------------------------------------------------------------------
    ("umask", 50, ("mask:u32",), "umask"),
    ("rlimit", 51, ("resource:u32", "soft:u64", "hard:u64"), "setrlimit"),
    ("personality", 52, ("domain:u64",), "personality"),
    ("scheduler", 53,
     ("policy:u32", "nice:i64", "priority:u32", "flags:u64", "runtime:u64", "deadline:u64", "period:u64"),
     "sched_setattr"),
    ("io_priority", 54, ("value:u32",), "ioprio_set"),
    ("no_new_privs", 55, (), "PR_SET_NO_NEW_PRIVS"),
    ("bounding", 56, ("keep:u64",), "drop every capability outside KEEP from the bounding set"),
    ("keep_caps", 57, ("on:u32",), "PR_SET_KEEPCAPS"),
    ("stdio_owner", 58, ("uid:u32",), "give fds 0 to 2 to the user; null devices and read-only filesystems are left"),
    ("groups", 59, ("gids:u32s",), "setgroups"),
    ("identity", 60, ("uid:u32", "gid:u32"), "setresgid and setresuid"),
    ("capset", 61, ("effective:u64", "permitted:u64", "inheritable:u64"), "capset"),
    ("ambient", 62, ("raise:u64",), "clear the ambient set, then raise these; one that cannot be raised is a warning"),
    ("chdir", 63, ("target:str", "create:u32"), "chdir; verify that the directory is inside the root"),
    ("chdir_retry", 64, ("target:str",), "chdir again as the container's user, if the first attempt was refused"),
    ("seccomp", 65, ("filter:bytes", "flags:u32", "notify:u32"), "load a seccomp filter of struct sock_filter"),
    ("home", 66, ("uid:u32",), "set HOME from the container's passwd if the environment has none"),
    ("find", 67, ("file:str",), "look the executable up in the environment's PATH now"),
    ("environment", 68, ("env:strs",), "the environment of the program (and the search path of `find`)"),
    ("hook", 69,
     ("name:str", "path:str", "args:strs", "env:strs", "timeout:u32", "before_pid:bytes", "after_pid:bytes"),
     "run a hook here with the state (before_pid, this pid, after_pid) on stdin; timeout in seconds, 0: none"),
    ("gate", 70, ("fd:u32",), "wait on a listening unix socket for the start signal; report later failures there"),
    ("close_fds", 71, ("keep:u32",), "mark descriptors from KEEP up close-on-exec"),
    ("exec", 72, ("args:strs",), "execve the file that `find` found"),
    # -- another process in a container that is there -------------------------------------------------------------
    ("user", 80, ("user:str", "group:str"),
     "look a name (or number) up in the container's passwd and group files; \"\": the user's own group and groups"),
    ("affinity", 81, ("cpus:bytes",), "sched_setaffinity; bit N of the little endian mask is CPU N"),
    ("enter_root", 82, ("fd:u32",), "chroot into an inherited descriptor: a container without a mount namespace"),
    # -- id-mapped mounts, memory policy ---------------------------------------------------------------------------
    ("bind_mapped", 87,
     ("source:str", "target:str", "recursive:u32", "uids:str", "gids:str", "map_recursive:u32"),
     "bind mount a host path that the parent has id-mapped; uids, gids: lines of a uid_map, empty for the container's"),
    ("memory_policy", 88, ("mode:u32", "nodes:u32s"), "set_mempolicy with MODE (flags included) and these nodes"),
    # -- security modules ----------------------------------------------------------------------------------------
    ("apparmor", 94, ("profile:str",), "run the program under an AppArmor profile"),
    ("selinux", 95, ("what:u32", "label:str"),
     "the SELinux label of the program (0), or of the keys created from now on (1; empty: the default again)"),
    ("relabel", 96, ("target:str", "label:str"), "set the SELinux label of a directory"),
    ("mask_label", 97, ("label:str",), "the SELinux label of the tmpfs that hides directories"),
)

# The uid or gid of `console`, `home`, `stdio_owner` and `identity` that means: the one that `user` found.  (The kernel
# takes it for -1, so it is nobody's.)  `groups` adds the groups that `user` found.
USER_FOUND = 0xFFFFFFFF

# Points of `sync`, in the order in which the parent serves them.
SYNC_CGROUP = 1         # place me in the cgroups (before anything else runs)
SYNC_IDMAP = 2          # write my uid_map and gid_map
SYNC_NETWORK = 3        # namespaces exist: move network devices
SYNC_RUNTIME_HOOKS = 4  # mounts are done, root not changed: limits, prestart and createRuntime hooks
SYNC_READY = 5          # everything is set up: record the state
SYNC_START = 6          # `run`: start the program (in place of `gate`)

# Messages on the socket (SOCK_SEQPACKET), both ways: u32 kind, u32 operation index, i32 value, i32 errno, then text.
MESSAGE_SYNC = 1      # executor: value = point
MESSAGE_CHILD = 2     # executor: value = pid of the clone, as this stage sees it
MESSAGE_CONSOLE = 3   # executor: carries the pty master (SCM_RIGHTS)
MESSAGE_LISTENER = 4  # executor: carries the seccomp listener
MESSAGE_ERROR = 5     # executor: operation and errno; text = detail
MESSAGE_WARNING = 6   # executor: text
MESSAGE_GO = 7        # parent: go on
MESSAGE_ABORT = 8     # parent: exit now
MESSAGE_TREE = 9      # executor: asks for the detached mount of its operation; parent: carries it
