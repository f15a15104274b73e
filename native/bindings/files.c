/* Descriptors: openat2, sealed memory files, locks, small files of /proc, /sys and cgroup hierarchies. */
#define _GNU_SOURCE
#include "bindings.h"
#include "numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#define MEMFD_EXEC 0x0010U        /* Linux 6.3 */

struct open_how_5_6 {
    uint64_t flags, mode, resolve;
};

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int seatrial_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how_5_6 how = {flags | O_CLOEXEC, mode, resolve};
    int fd, tries = 0;

    do { /* EAGAIN: a rename or mount raced with a RESOLVE_BENEATH or _IN_ROOT look-up, openat2(2) */
        fd = result_of(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
    } while (fd == -EINTR || (fd == -EAGAIN && (resolve != 0) && ++tries < 64));
    return fd;
}

static int fill(int fd, const char *data, size_t bytes, int source)
{
    struct stat status;

    if (source < 0) {
        while (bytes > 0) {
            ssize_t wrote = write(fd, data, bytes);
            if (wrote < 0 && errno != EINTR)
                return -errno;
            if (wrote > 0) {
                data += wrote;
                bytes -= (size_t)wrote;
            }
        }
        return 0;
    }
    if (fstat(source, &status) < 0)
        return -errno;
    for (off_t at = 0; at < status.st_size;) {
        ssize_t sent = sendfile(fd, source, &at, (size_t)(status.st_size - at));
        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent == 0)
            return -EIO; /* the source shrank under us */
    }
    return 0;
}

int seatrial_sealed_memfd(const char *name, int executable, const char *data, size_t bytes, int source)
{
    unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | (executable ? MEMFD_EXEC : MEMFD_NOEXEC_SEAL));
    int error;

    if (fd < 0 && errno == EINVAL) /* before 6.3 */
        fd = memfd_create(name, flags);
    if (fd < 0)
        return -errno;
    error = fill(fd, data, bytes, source);
    if (error == 0 && lseek(fd, 0, SEEK_SET) < 0)
        error = -errno;
    if (error == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        error = -errno;
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

int seatrial_get_seals(int fd)
{
    return result_of(fcntl(fd, F_GET_SEALS));
}

int seatrial_flock(int fd, int operation)
{
    return result_of(flock(fd, operation));
}

int seatrial_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
    return result_of(syscall(SYS_close_range, first, last, flags));
}

int seatrial_ioctl(int fd, unsigned long request, uintptr_t argument)
{
    return result_of(ioctl(fd, request, argument));
}

/* One write(2): files of the kernel take a value whole or not at all. */
int seatrial_write_at(int dirfd, const char *path, const char *data, size_t bytes)
{
    int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int result;

    if (fd < 0)
        return -errno;
    do {
        result = result_of(write(fd, data, bytes));
    } while (result == -EINTR);
    close(fd);
    return result;
}

int seatrial_read_at(int dirfd, const char *path, char *buffer, size_t bytes)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t have = 0;

    if (fd < 0)
        return -errno;
    while (have < bytes) {
        ssize_t got = read(fd, buffer + have, bytes - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = -errno;
            close(fd);
            return error;
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    close(fd);
    return (int)have;
}
