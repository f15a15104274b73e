/* Who the process is: pid, ids, groups, umask, capabilities.  /proc/self/status is for what no system call tells. */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

/* The fourth number of "Uid: 0 0 0 0"; setfsuid(-1) changes nothing and returns the present value. */
static int64_t filesystem_id(const char *field, int (*set)(unsigned))
{
    char text[128];
    const char *value = status_field(field, text, sizeof text);
    if (value) {
        for (int i = 0; i < 3; i++) {
            value = strpbrk(value, " \t");
            if (!value)
                return -1;
            value += strspn(value, " \t");
        }
        return (int64_t)strtoull(value, NULL, 10);
    }
    int id = set((unsigned)-1);
    return id == -1 ? -1 : (int64_t)(unsigned)id;
}

static void ids(struct json *json, const char *key, int failed, const unsigned three[3], int64_t filesystem)
{
    json_key(json, key);
    if (failed) {
        json_null(json);
        return;
    }
    json_open(json, '[');
    for (int i = 0; i < 3; i++)
        json_unsigned(json, three[i]);
    if (filesystem < 0)
        json_null(json);
    else
        json_number(json, filesystem);
    json_close(json, ']');
}

static void groups(struct json *json)
{
    static gid_t list[65536]; /* NGROUPS_MAX */
    int count = getgroups(65536, list);
    json_key(json, "groups");
    if (count < 0) {
        json_null(json);
        return;
    }
    json_open(json, '[');
    for (int i = 0; i < count; i++)
        json_unsigned(json, list[i]);
    json_close(json, ']');
}

static void file_mode_mask(struct json *json)
{
    char text[32];
    uint64_t mask;
    const char *value = status_field("Umask", text, sizeof text);
    if (!value || !parse_octal(value, &mask)) {
        mask = umask(0); /* reading it is setting it; there is one thread */
        umask((mode_t)mask);
        if (mask > 0777) {
            key_null(json, "umask");
            return;
        }
    }
    key_unsigned(json, "umask", mask);
}

static void key_status_mask(struct json *json, const char *key, const char *field)
{
    char text[64];
    const char *value = status_field(field, text, sizeof text);
    if (value)
        key_hex(json, key, strtoull(value, NULL, 16));
    else
        key_null(json, key);
}

/* One bit per capability number; prctl answers EINVAL past the kernel's last one. */
static bool capability_set(uint64_t *mask, int option, unsigned long argument)
{
    *mask = 0;
    for (unsigned long number = 0; number < 64; number++) {
        int set = option == PR_CAPBSET_READ ? prctl(option, number, 0, 0, 0) : prctl(option, argument, number, 0, 0);
        if (set < 0)
            return number > 0;
        *mask |= (uint64_t)(set > 0) << number;
    }
    return true;
}

static void capabilities(struct json *json)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    uint64_t mask;
    json_key(json, "caps");
    json_open(json, '{');
    if (syscall(SYS_capget, &header, data) == 0) {
        key_hex(json, "effective", (uint64_t)data[1].effective << 32 | data[0].effective);
        key_hex(json, "permitted", (uint64_t)data[1].permitted << 32 | data[0].permitted);
        key_hex(json, "inheritable", (uint64_t)data[1].inheritable << 32 | data[0].inheritable);
    } else {
        key_status_mask(json, "effective", "CapEff");
        key_status_mask(json, "permitted", "CapPrm");
        key_status_mask(json, "inheritable", "CapInh");
    }
    if (capability_set(&mask, PR_CAPBSET_READ, 0))
        key_hex(json, "bounding", mask);
    else
        key_status_mask(json, "bounding", "CapBnd");
    if (capability_set(&mask, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET))
        key_hex(json, "ambient", mask);
    else
        key_status_mask(json, "ambient", "CapAmb");
    json_close(json, '}');
}

void report_identity(struct json *json)
{
    unsigned uid[3], gid[3];
    key_number(json, "pid", getpid());
    key_number(json, "ppid", getppid());
    key_count(json, "pgid", getpgid(0));
    key_count(json, "sid", getsid(0));
    char text[256];
    key_string(json, "ns_pid", status_field("NSpid", text, sizeof text));
    json_key(json, "ids");
    json_open(json, '{');
    ids(json, "uid", getresuid(&uid[0], &uid[1], &uid[2]), uid, filesystem_id("Uid", setfsuid));
    ids(json, "gid", getresgid(&gid[0], &gid[1], &gid[2]), gid, filesystem_id("Gid", setfsgid));
    groups(json);
    json_close(json, '}');
    file_mode_mask(json);
    capabilities(json);
}
