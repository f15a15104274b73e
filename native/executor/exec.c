/* The program: its environment, where it is, and becoming it. */
#include "executor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "passwd.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *value_of(char **env, const char *name)
{
    size_t length = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

/* HOME from `home` when the environment has none, or an empty one. */
static int add_home(struct machine *m)
{
    const char *home = value_of(m->env, "HOME");
    size_t count = 0, used = 0;
    if (!m->env || !m->home || (home && *home))
        return 0;
    while (m->env[count])
        count++;
    char **env = calloc(count + 2, sizeof(char *));
    if (!env)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (strncmp(m->env[i], "HOME=", 5) != 0)
            env[used++] = m->env[i];
    env[used] = m->home;
    m->env = env;
    return 0;
}

int op_environment(struct machine *m, const struct op_environment *a)
{
    m->env = a->env.items;
    return add_home(m);
}


int op_home(struct machine *m, const struct op_home *a)
{
    uint32_t uid = a->uid;
    int r = number_found(m, m->uid, &uid);
    if (r == 0)
        r = home_of(m, uid, &m->home);
    return r < 0 ? r : add_home(m);
}

static int executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
        return 0;
    /* glibc calls faccessat2 (Linux 5.8), to which old seccomp profiles answer EPERM; real and effective ids are equal. */
    if (errno == EPERM && syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0)
        return 0;
    return -errno;
}

/* As execvp(3): EACCES is remembered, a directory that is not there is passed over, an empty element is ".". */
static int search(const char *file, const char *path, char *found, size_t size)
{
    size_t name = strlen(file);
    int result = -ENOENT;
    for (const char *end;; path = end + 1) {
        end = strchrnul(path, ':');
        size_t length = (size_t)(end - path);
        if (length + 1 + name + 1 <= size) {
            memcpy(found, path, length);
            if (length)
                found[length++] = '/';
            memcpy(found + length, file, name + 1);
            int r = executable(found);
            if (r == 0)
                return 0;
            if (r == -EACCES)
                result = r;
            else if (r != -ENOENT && r != -ENOTDIR && r != -ENAMETOOLONG && r != -ELOOP)
                return r;
        }
        if (!*end)
            return result;
    }
}

int op_find(struct machine *m, const struct op_find *a)
{
    char found[PATH_MAX];
    const char *path = value_of(m->env, "PATH");
    int r;
    /* The last operation before a seccomp filter may refuse umask(2). */
    if (!m->umask_set) {
        umask(m->umask);
        m->umask_set = true;
    }
    if (strlen(a->file) >= sizeof(found))
        return -ENAMETOOLONG;
    if (strchr(a->file, '/')) {
        memcpy(found, a->file, strlen(a->file) + 1);
        r = executable(found);
    } else if (*a->file) {
        r = search(a->file, path ? path : DEFAULT_PATH, found, sizeof(found));
        if (r == -ENOENT)
            explain(m, "executable file not found in $PATH", NULL);
    } else {
        r = -ENOENT;
    }
    if (r < 0)
        return r;
    free(m->program);
    m->program = strdup(found);
    return m->program ? 0 : -ENOMEM;
}

int op_exec(struct machine *m, const struct op_exec *a)
{
    static char *none[] = {NULL};
    if (m->chdir_refused) {
        explain(m, "the working directory may not be entered", NULL);
        return -EACCES;
    }
    if (!m->program)
        return -ENOENT;
    execve(m->program, a->args.items, m->env ? m->env : none);
    return -errno;
}
