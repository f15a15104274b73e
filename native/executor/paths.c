/* openat2(RESOLVE_IN_ROOT) does the look-ups where the kernel has it (5.6).  The walk below does the same with one
 * O_PATH|O_NOFOLLOW step for each component, and is also what creates missing parts: every step is taken from a
 * descriptor, so a directory that is exchanged for a symlink meanwhile is seen as a symlink, never followed by the kernel.
 */
#include "paths.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define SYMLINKS_MAX 40 /* path_resolution(7) */
#define RACES_MAX 32    /* tries against somebody who creates, removes and renames at the same place */

struct walk {
    int root, at;
    unsigned links, races;
    char done[PATH_MAX];     /* components from the root to `at`, each after a slash; none is a symlink */
    char rest[2 * PATH_MAX]; /* still to be walked */
};

int root_descriptor(struct machine *m)
{
    if (m->root < 0) {
        m->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (m->root < 0)
            return -errno;
        m->entered = true;
    }
    return m->root;
}

static int step_back_to_root(struct walk *w)
{
    int at = fcntl(w->root, F_DUPFD_CLOEXEC, 3);
    if (at < 0)
        return -errno;
    close_descriptor(&w->at);
    w->at = at;
    return 0;
}

/* "..": walk to the parent's path anew.  openat(at, "..") could leave the root if `at` has been moved out of it. */
static int step_up(struct walk *w)
{
    char *slash = strrchr(w->done, '/');
    if (slash)
        *slash = '\0';
    int r = step_back_to_root(w);
    for (const char *part = w->done; r == 0 && *part == '/';) {
        char name[NAME_MAX + 1];
        const char *end = strchrnul(part + 1, '/');
        size_t length = (size_t)(end - part - 1);
        memcpy(name, part + 1, length); /* it was opened before: shorter than NAME_MAX */
        name[length] = '\0';
        int next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
        if (next < 0)
            return -errno;
        close_descriptor(&w->at);
        w->at = next;
        part = end;
    }
    return r;
}

/* The next component of `rest`, into `name`; its length, 0 at the end, -ENAMETOOLONG. */
static int next_component(struct walk *w, char name[NAME_MAX + 1])
{
    size_t skip = strspn(w->rest, "/"), length = strcspn(w->rest + skip, "/");
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, w->rest + skip, length);
    name[length] = '\0';
    skip += length;
    skip += strspn(w->rest + skip, "/");
    memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
    return (int)length;
}

static int expand_symlink(struct walk *w, int link)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(link, "", text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -ENOENT;
    size_t length = (size_t)n, left = strlen(w->rest);
    if (++w->links > SYMLINKS_MAX)
        return -ELOOP;
    if (length + 1 + left + 1 > sizeof(w->rest))
        return -ENAMETOOLONG;
    memmove(w->rest + length + 1, w->rest, left + 1);
    memcpy(w->rest, text, length);
    w->rest[length] = '/';
    if (text[0] != '/')
        return 0;
    w->done[0] = '\0';
    return step_back_to_root(w);
}

static int create(struct walk *w, const char *name, bool last, const struct lookup *how)
{
    int r;
    if (last && how->missing == MISSING_FILE) {
        r = openat(w->at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, how->mode);
        if (r >= 0)
            close(r);
    } else {
        r = mkdirat(w->at, name, last ? how->mode : 0755);
    }
    return r < 0 && errno != EEXIST ? -errno : 0;
}

/* Open what `found` (O_PATH, no symlink) is with the flags that were asked for; it must still be the same file. */
static int reopen(int directory, const char *name, int found, int flags)
{
    struct stat before, after;
    int with_close fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(found, &before) < 0 || fstat(fd, &after) < 0)
        return -errno;
    if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
        return -EXDEV;
    return keep_open(&fd);
}

/* One component: 0 to go on, 1 when w->at is the result, -errno. */
static int step(struct machine *m, struct walk *w, const char *name, const struct lookup *how)
{
    struct stat st;
    bool last = w->rest[0] == '\0';
    if (strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0)
        return step_up(w);
    int with_close fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && errno == ENOENT && how->missing != MISSING_FAILS) {
        int r = ++w->races > RACES_MAX ? -EAGAIN : create(w, name, last, how);
        if (r < 0)
            return r;
        fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode) && !(last && how->no_follow)) {
        if (how->no_symlinks) {
            explain(m, w->done, "/", name, " is a symlink", NULL);
            return -ELOOP;
        }
        return expand_symlink(w, fd);
    }
    if (!last && !S_ISDIR(st.st_mode))
        return -ENOTDIR;
    size_t used = strlen(w->done), length = strlen(name);
    if (used + 1 + length + 1 > sizeof(w->done))
        return -ENAMETOOLONG;
    if (last && !(how->flags & O_PATH)) {
        int opened = reopen(w->at, name, fd, how->flags);
        if (opened < 0)
            return opened;
        close_descriptor(&fd);
        fd = opened;
    } else if (last && how->flags & O_DIRECTORY && !S_ISDIR(st.st_mode)) {
        return -ENOTDIR;
    }
    w->done[used] = '/';
    memcpy(w->done + used + 1, name, length + 1);
    close_descriptor(&w->at);
    w->at = keep_open(&fd);
    return last;
}

static int walk(struct machine *m, const char *path, const struct lookup *how)
{
    struct walk w = {.root = m->root, .at = -1};
    char name[NAME_MAX + 1];
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(w.rest, path, strlen(path) + 1);
    int r = step_back_to_root(&w);
    while (r == 0) {
        r = next_component(&w, name);
        if (r == 0) { /* the root, or a path that ends in "." or ".." */
            int fd = how->flags & O_PATH ? w.at : openat(w.at, ".", how->flags | O_CLOEXEC);
            if (fd < 0)
                r = -errno;
            if (fd != w.at)
                close_descriptor(&w.at);
            return r < 0 ? r : fd;
        }
        if (r > 0)
            r = step(m, &w, name, how);
    }
    if (r < 0) {
        close_descriptor(&w.at);
        return r;
    }
    return w.at;
}

/* -ENOSYS also when a seccomp profile that does not know the call answers EPERM. */
static int look_up(int root, const char *path, const struct lookup *how)
{
    struct open_how request = {
        .flags = (uint64_t)(how->flags | O_CLOEXEC | (how->no_follow ? O_NOFOLLOW : 0)),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (how->no_symlinks ? RESOLVE_NO_SYMLINKS : 0),
    };
    for (int races = 0;; races++) {
        long fd = syscall(SYS_openat2, root, path, &request, sizeof(request));
        if (fd >= 0)
            return (int)fd;
        if (errno == EPERM)
            return -ENOSYS;
        /* EAGAIN: a rename or mount somewhere while ".." was resolved; the walk does not mind. */
        if (errno != EAGAIN || races == RACES_MAX)
            return errno == EAGAIN ? -ENOSYS : -errno;
    }
}

int path_open(struct machine *m, const char *path, const struct lookup *how)
{
    int root = root_descriptor(m);
    if (root < 0)
        return root;
    if (!*path)
        return -ENOENT;
    int r = look_up(root, path, how);
    if (r == -ENOSYS || (r == -ENOENT && how->missing != MISSING_FAILS))
        return walk(m, path, how);
    if (r == -ELOOP && how->no_symlinks) /* again, for the name of the component that is one */
        return walk(m, path, how);
    return r;
}

int path_parent(struct machine *m, const char *path, char name[NAME_MAX + 1])
{
    static const struct lookup how = {.flags = O_PATH | O_DIRECTORY, .missing = MISSING_DIRECTORY, .mode = 0755};
    char directory[PATH_MAX];
    size_t end = strlen(path), start;
    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/'; start--)
        ;
    size_t length = end - start;
    if (length == 0 || (length == 1 && path[start] == '.') || (length == 2 && memcmp(path + start, "..", 2) == 0))
        return -EINVAL;
    if (length > NAME_MAX || start + 1 > sizeof(directory))
        return -ENAMETOOLONG;
    memcpy(name, path + start, length);
    name[length] = '\0';
    memcpy(directory, path, start);
    directory[start] = '\0';
    return path_open(m, start ? directory : "/", &how);
}
