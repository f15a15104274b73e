/* The mount table, the root and the working directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "probe.h"

/* mountinfo writes space, tab, newline and backslash as \ooo; in place, the text gets shorter. */
static char *unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return text;
}

struct mount {
    char *id, *parent, *device, *root, *target, *options, *fstype, *source, *super_options;
    char *optional; /* "shared:1 master:2", space separated */
};

/* One line of mountinfo, proc_pid_mountinfo(5); false if it was cut short. */
static bool split(char *line, struct mount *mount)
{
    mount->id = next_field(&line, ' ');
    mount->parent = next_field(&line, ' ');
    mount->device = next_field(&line, ' ');
    mount->root = next_field(&line, ' ');
    mount->target = next_field(&line, ' ');
    mount->options = next_field(&line, ' ');
    if (!line)
        return false;
    mount->optional = line;
    char *dash = strncmp(line, "- ", 2) == 0 ? line : strstr(line, " - ");
    if (!dash)
        return false;
    line = dash + (*dash == ' ' ? 3 : 2);
    *dash = 0; /* also ends the optional fields; there may be none */
    mount->fstype = next_field(&line, ' ');
    mount->source = next_field(&line, ' ');
    mount->super_options = line;
    if (!line)
        return false;
    unescape(mount->root);
    unescape(mount->target);
    unescape(mount->source);
    unescape(mount->fstype);
    unescape(mount->super_options);
    return true;
}

static void propagation(struct json *json, char *words)
{
    json_open(json, '[');
    while (words && *words)
        json_string(json, next_field(&words, ' '));
    json_close(json, ']');
}

void json_mounts(struct json *json, const char *target)
{
    if (proc_read("/proc/self/mountinfo", scratch, sizeof scratch) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '[');
    char *rest = scratch;
    for (char *line = next_line(&rest); line; line = next_line(&rest)) {
        struct mount mount;
        if (!split(line, &mount) || (target && strcmp(mount.target, target) != 0))
            continue;
        json_open(json, '{');
        key_number(json, "id", strtol(mount.id, NULL, 10));
        key_number(json, "parent", strtol(mount.parent, NULL, 10));
        key_string(json, "device", mount.device);
        key_string(json, "root", mount.root);
        key_string(json, "target", mount.target);
        key_string(json, "options", mount.options);
        json_key(json, "propagation");
        propagation(json, mount.optional);
        key_string(json, "fstype", mount.fstype);
        key_string(json, "source", mount.source);
        key_string(json, "super_options", mount.super_options);
        json_close(json, '}');
    }
    json_close(json, ']');
}

int statfs_keys(struct json *json, const char *path)
{
    struct statfs filesystem;
    if (statfs(path, &filesystem) < 0)
        return errno;
    key_unsigned(json, "magic", (uint64_t)(unsigned)filesystem.f_type);
    key_string(json, "fstype", name_of(filesystem_names, (uint64_t)(unsigned)filesystem.f_type));
    json_key(json, "flags");
    json_flags(json, statfs_flag_names, (uint64_t)filesystem.f_flags);
    key_bool(json, "readonly", filesystem.f_flags & 1);
    key_number(json, "block_size", filesystem.f_bsize);
    key_unsigned(json, "blocks", filesystem.f_blocks);
    key_unsigned(json, "blocks_free", filesystem.f_bfree);
    key_unsigned(json, "files", filesystem.f_files);
    key_unsigned(json, "files_free", filesystem.f_ffree);
    return 0;
}

/* What mountinfo says of the topmost mount on "/". */
static void root_propagation(struct json *json)
{
    char *found = NULL;
    json_key(json, "propagation");
    if (proc_read("/proc/self/mountinfo", scratch, sizeof scratch) < 0) {
        json_null(json);
        return;
    }
    char *rest = scratch;
    for (char *line = next_line(&rest); line; line = next_line(&rest)) {
        struct mount mount;
        if (split(line, &mount) && strcmp(mount.target, "/") == 0)
            found = mount.optional;
    }
    if (found)
        propagation(json, found);
    else
        json_null(json);
}

static void directory(struct json *json, const char *key, const char *path)
{
    struct stat status;
    json_key(json, key);
    if (stat(path, &status) < 0) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    stat_keys(json, &status);
    statfs_keys(json, path);
    json_close(json, '}');
}

void report_mounts(struct json *json)
{
    static char path[1 << 16]; /* getcwd(2) may answer more than PATH_MAX */
    key_string(json, "cwd", getcwd(path, sizeof path));
    directory(json, "cwd_stat", ".");
    directory(json, "root", "/");
    json_key(json, "rootfs");
    json_open(json, '{');
    struct statfs filesystem;
    if (statfs("/", &filesystem) == 0)
        key_bool(json, "readonly", filesystem.f_flags & 1);
    else
        key_null(json, "readonly");
    root_propagation(json);
    json_close(json, '}');
    json_key(json, "mounts");
    json_mounts(json, NULL);
}
