/* Target: the executor from main() on, with operations that read their arguments and do nothing.
 *
 * Input: one byte that says which operation fails (0: none), one for the command line (its low bits: which argument is
 * replaced, 0: none; the rest: how many of the next bytes are its text), the text, the plan.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static jmp_buf end;
static void *blocks[1 << 16]; /* what the program, which ends soon, does not free */
static size_t block_count;

static void *remembered(void *block)
{
    if (block_count < sizeof(blocks) / sizeof(blocks[0]))
        blocks[block_count++] = block;
    return block;
}

static void *tracked_malloc(size_t size)
{
    return remembered(malloc(size));
}

static void *tracked_calloc(size_t count, size_t size)
{
    return remembered(calloc(count, size));
}

static void tracked_free(void *block)
{
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i] == block)
            blocks[i] = NULL;
    free(block);
}

static _Noreturn void leave(int status)
{
    longjmp(end, status + 1);
}

int executor_main(int argc, char **argv);

#define OPERATION_TABLES
#define OPERATION_DISPATCH
#define main executor_main
#define _exit leave
#define malloc tracked_malloc
#define calloc tracked_calloc
#define free tracked_free
#include "decode.c"
#include "main.c"
#undef main
#undef _exit
#undef malloc
#undef calloc
#undef free
#include "touch.h"

static unsigned failing;

/* The number of a descriptor that is open here but not given to the executor: libFuzzer's own. */
static bool borrowed(const char *text, int own)
{
    char *rest;
    long value = strtol(text, &rest, 10);
    return *text && !*rest && value >= 3 && value < 1000 && value != own;
}

#define OPERATION(name)                                                  \
    int op_##name(struct machine *m, const struct op_##name *a)          \
    {                                                                    \
        touch_##name(a);                                                 \
        if (failing && m->index + 1 == failing) {                        \
            explain(m, "planned", " failure", NULL);                     \
            return -EIO;                                                 \
        }                                                                \
        return 0;                                                        \
    }
#include "every_operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    int sockets[2];
    char texts[3][64], report[4096];
    if (size < 2)
        return 0;
    size_t length = input[1] >> 2;
    if (length > size - 2)
        length = size - 2;
    int plan = memfd_create("plan", MFD_CLOEXEC);
    if (plan < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        abort();
    if (write(plan, input + 2 + length, size - 2 - length) < 0)
        abort();
    snprintf(texts[0], sizeof(texts[0]), "%d", sockets[1]);
    snprintf(texts[1], sizeof(texts[1]), "%d", plan);
    snprintf(texts[2], sizeof(texts[2]), "3");
    if (input[1] & 3) {
        memcpy(texts[(input[1] & 3) - 1], input + 2, length);
        texts[(input[1] & 3) - 1][length] = '\0';
    }
    failing = input[0];
    machine = (struct machine){.channel = -1, .root = -1, .null = -1, .empty_directory = -1, .index = NO_OPERATION};
    mode_t mask = umask(022);
    char *argv[] = {"seatrial-executor", texts[0], texts[1], texts[2], NULL};
    if (!borrowed(texts[0], sockets[1]) && !borrowed(texts[1], plan)) {
        int status = setjmp(end);
        if (status == 0)
            status = executor_main(4, argv) + 1;
        if (status != 2 && status != 3)
            abort(); /* 1 is a failure that is reported, 2 says that there is nobody to report to */
        ssize_t n = recv(sockets[0], report, sizeof(report), MSG_DONTWAIT);
        if (status == 2 && !(input[1] & 3) && n <= 0)
            abort(); /* a failure that nobody hears of */
    }
    umask(mask);
    while (block_count > 0)
        free(blocks[--block_count]);
    close(sockets[0]);
    close(sockets[1]);
    close(plan); /* no longer open where the executor came that far */
    return 0;
}
