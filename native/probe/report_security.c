/* no_new_privs, securebits, seccomp, signals, keyring, security modules. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

static void seccomp(struct json *json)
{
    char text[32];
    json_key(json, "seccomp");
    json_open(json, '{');
    const char *mode = status_field("Seccomp", text, sizeof text);
    key_count(json, "mode", mode ? strtol(mode, NULL, 10) : prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    const char *filters = status_field("Seccomp_filters", text, sizeof text);
    key_count(json, "filters", filters ? strtol(filters, NULL, 10) : -1);
    char bypass[64];
    key_string(json, "speculation_store_bypass", status_field("Speculation_Store_Bypass", bypass, sizeof bypass));
    json_close(json, '}');
}

/* The raw calls: the C library hides the two signals that it keeps for itself. */
static void signals(struct json *json)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;
    uint64_t ignored = 0, mask;
    bool known = true;
    json_key(json, "signals");
    json_open(json, '{');
    if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask) == 0)
        key_hex(json, "blocked", mask);
    else
        key_null(json, "blocked");
    for (int number = 1; number <= 64 && known; number++) {
        known = syscall(SYS_rt_sigaction, number, NULL, &action, sizeof mask) == 0;
        ignored |= (uint64_t)(known && action.handler == (void *)SIG_IGN) << (number - 1);
    }
    if (known)
        key_hex(json, "ignored", ignored);
    else
        key_null(json, "ignored");
    if (syscall(SYS_rt_sigpending, &mask, sizeof mask) == 0)
        key_hex(json, "pending", mask);
    else
        key_null(json, "pending");
    json_close(json, '}');
}

/* "keyring;0;0;3f1b0000;_ses.name": the name comes last and may hold semicolons. */
int keyring_keys(struct json *json)
{
    char text[4096];
    long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    if (id < 0)
        return errno;
    long length = syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof text - 1);
    int error = length < 0 ? errno : 0;
    if (length > (long)sizeof text - 1)
        length = sizeof text - 1;
    text[length < 0 ? 0 : length] = 0;
    char *rest = text;
    const char *fields[4] = {0};
    for (int i = 0; i < 4 && !error; i++)
        fields[i] = next_field(&rest, ';');
    key_string(json, "session", error ? NULL : rest);
    key_number(json, "id", id);
    key_count(json, "uid", fields[1] ? strtol(fields[1], NULL, 10) : -1);
    key_count(json, "gid", fields[2] ? strtol(fields[2], NULL, 10) : -1);
    key_count(json, "permissions", fields[3] ? strtol(fields[3], NULL, 16) : -1);
    return 0;
}

static void keyring(struct json *json)
{
    json_key(json, "keyring");
    json_open(json, '{');
    if (keyring_keys(json) != 0) {
        key_null(json, "session");
        key_null(json, "id");
        key_null(json, "uid");
        key_null(json, "gid");
        key_null(json, "permissions");
    }
    json_close(json, '}');
}

static void security_modules(struct json *json)
{
    json_key(json, "lsm");
    json_open(json, '{');
    key_proc_text(json, "apparmor", "/proc/self/attr/apparmor/current");
    key_proc_text(json, "current", "/proc/self/attr/current");
    key_proc_text(json, "exec", "/proc/self/attr/exec");
    json_close(json, '}');
}

static void key_option(struct json *json, const char *key, int option)
{
    key_count(json, key, prctl(option, 0, 0, 0, 0));
}

static void key_pointed(struct json *json, const char *key, int option)
{
    int value = -1;
    key_count(json, key, prctl(option, &value, 0, 0, 0) < 0 ? -1 : value);
}

void report_security(struct json *json)
{
    int no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    if (no_new_privs < 0)
        key_null(json, "no_new_privs");
    else
        key_bool(json, "no_new_privs", no_new_privs);
    key_option(json, "securebits", PR_GET_SECUREBITS);
    key_option(json, "dumpable", PR_GET_DUMPABLE);
    key_option(json, "keepcaps", PR_GET_KEEPCAPS);
    key_pointed(json, "parent_death_signal", PR_GET_PDEATHSIG);
    key_pointed(json, "child_subreaper", PR_GET_CHILD_SUBREAPER);
    seccomp(json);
    signals(json);
    keyring(json);
    security_modules(json);
}
