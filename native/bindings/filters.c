/* Seccomp filters with user notification (Linux 5.0; addfd 5.9) and BPF programs of cgroups. */
#define _GNU_SOURCE
#include "bindings.h"
#include "numbers.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Kernels 6.17 to 7.1 write query results past a shorter attribute block; a longer one of zeros suits every kernel. */
union attributes {
    union bpf_attr attr;
    char bytes[512];
};

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int seatrial_seccomp_load(const char *filter, size_t instructions, unsigned int flags)
{
    struct sock_fprog program = {(unsigned short)instructions, (struct sock_filter *)(uintptr_t)filter};

    if (instructions > BPF_MAXINSNS)
        return -EINVAL;
    return result_of(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

int seatrial_seccomp_probe(unsigned int flags)
{
    return result_of(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL));
}

int seatrial_seccomp_receive(int listener, uint64_t *result)
{
    union { /* a newer kernel's structure may be longer; it writes its own size */
        struct seccomp_notif notification;
        char bytes[512];
    } room;
    int error;

    memset(&room, 0, sizeof room); /* EINVAL otherwise */
    error = result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &room));
    if (error < 0)
        return error;
    result[0] = room.notification.id;
    result[1] = room.notification.pid;
    result[2] = room.notification.flags;
    result[3] = (uint64_t)(int64_t)room.notification.data.nr;
    result[4] = room.notification.data.arch;
    result[5] = room.notification.data.instruction_pointer;
    for (int i = 0; i < 6; i++)
        result[6 + i] = room.notification.data.args[i];
    return 0;
}

int seatrial_seccomp_send(int listener, uint64_t id, int64_t value, int error, unsigned int flags)
{
    struct seccomp_notif_resp response = {.id = id, .val = value, .error = error, .flags = flags};

    return result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response));
}

int seatrial_seccomp_id_valid(int listener, uint64_t id)
{
    return result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
}

int seatrial_seccomp_addfd(int listener, uint64_t id, unsigned int flags, int source, int target, unsigned int fd_flags)
{
    struct seccomp_notif_addfd add = {
        .id = id, .flags = flags, .srcfd = (uint32_t)source, .newfd = (uint32_t)target, .newfd_flags = fd_flags};

    return result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
}

static int bpf(enum bpf_cmd command, union attributes *attributes)
{
    return result_of(syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

int seatrial_bpf_load(unsigned int type, const char *program, size_t instructions, const char *license, const char *name,
                      char *log, size_t log_bytes)
{
    union attributes attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.attr.prog_type = type;
    attributes.attr.insn_cnt = (uint32_t)instructions;
    attributes.attr.insns = (uint64_t)(uintptr_t)program;
    attributes.attr.license = (uint64_t)(uintptr_t)license;
    strncpy(attributes.attr.prog_name, name, sizeof attributes.attr.prog_name - 1);
    if (log_bytes > 0) {
        attributes.attr.log_level = 1;
        attributes.attr.log_buf = (uint64_t)(uintptr_t)log;
        attributes.attr.log_size = (uint32_t)log_bytes;
    }
    return bpf(BPF_PROG_LOAD, &attributes);
}

int seatrial_bpf_attach(int target, int program, unsigned int type, unsigned int flags, int replace)
{
    union attributes attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.attr.target_fd = (uint32_t)target;
    attributes.attr.attach_bpf_fd = (uint32_t)program;
    attributes.attr.attach_type = type;
    attributes.attr.attach_flags = flags;
    if (replace >= 0)
        attributes.attr.replace_bpf_fd = (uint32_t)replace;
    return bpf(BPF_PROG_ATTACH, &attributes);
}

int seatrial_bpf_detach(int target, int program, unsigned int type)
{
    union attributes attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.attr.target_fd = (uint32_t)target;
    attributes.attr.attach_bpf_fd = (uint32_t)program;
    attributes.attr.attach_type = type;
    return bpf(BPF_PROG_DETACH, &attributes);
}

int seatrial_bpf_query(int target, unsigned int type, unsigned int query_flags, unsigned int *ids, unsigned int slots,
                       unsigned int *result)
{
    union attributes attributes;
    int error;

    memset(&attributes, 0, sizeof attributes);
    attributes.attr.query.target_fd = (uint32_t)target;
    attributes.attr.query.attach_type = type;
    attributes.attr.query.query_flags = query_flags;
    attributes.attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.attr.query.prog_cnt = slots;
    error = bpf(BPF_PROG_QUERY, &attributes);
    result[0] = attributes.attr.query.attach_flags;
    result[1] = attributes.attr.query.prog_cnt;
    return error;
}

int seatrial_bpf_by_id(unsigned int id)
{
    union attributes attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.attr.prog_id = id;
    return bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
}
