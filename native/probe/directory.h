/* getdents64 without malloc; "." and ".." included. */
#pragma once
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct directory {
    int fd;
    long used, at;
    _Alignas(8) char buffer[8192];
};

/* The next name, NULL at the end or on an error; valid until the next call. */
static inline const char *directory_next(struct directory *directory)
{
    struct entry { /* struct linux_dirent64 */
        uint64_t ino;
        int64_t offset;
        unsigned short length;
        unsigned char type;
        char name[];
    };
    if (directory->at >= directory->used) {
        directory->used = syscall(SYS_getdents64, directory->fd, directory->buffer, sizeof directory->buffer);
        directory->at = 0;
        if (directory->used <= 0)
            return NULL;
    }
    struct entry *entry = (struct entry *)(void *)(directory->buffer + directory->at);
    directory->at += entry->length;
    return entry->name;
}
