/* Memory: patterns in private, shared, mapped and protected pages. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define PAGE 4096u
#define LARGE (2u << 20)
#define SPARSE (256u << 20) /* reserved, of which five pages are touched */

static char initialized[3 * PAGE] = "data"; /* in the data section */
static char *private_pages, *sparse, *mapped, *shared_file, *locked, *forbidden, *kept_back;

static char *map(size_t size, int protection, int flags, int fd)
{
    char *start = mmap(NULL, size, protection, flags, fd, 0);
    return start == MAP_FAILED ? NULL : start;
}

static int prepare_memory(void)
{
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int file = open(WORKLOAD_DIRECTORY "/workload-mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    TRY(own);
    TRY(file);
    TRY(ftruncate(file, LARGE));
    private_pages = map(LARGE, PROT_READ | PROT_WRITE, anonymous, -1);
    sparse = map(SPARSE, PROT_READ | PROT_WRITE, anonymous | MAP_NORESERVE, -1);
    mapped = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, own);
    shared_file = map(LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    locked = map(PAGE, PROT_READ | PROT_WRITE, anonymous, -1);
    forbidden = map(PAGE, PROT_READ | PROT_WRITE, anonymous, -1);
    kept_back = map(PAGE, PROT_READ | PROT_WRITE, anonymous, -1);
    if (!private_pages || !sparse || !mapped || !shared_file || !locked || !forbidden || !kept_back)
        return ENOMEM;
    close(own);
    close(file);
    fill(private_pages, LARGE, 1);
    for (unsigned i = 0; i < 5; i++)
        fill(sparse + i * (SPARSE / 5), PAGE, i);
    fill(mapped + PAGE, 64, 2); /* one page of the program's own file is changed, in this mapping alone */
    fill(shared_file, LARGE, 3);
    fill(initialized + PAGE, PAGE, 4);
    fill(locked, PAGE, 5);
    fill(forbidden, PAGE, 6);
    TRY(mprotect(locked, PAGE, PROT_READ));
    TRY(mprotect(forbidden, PAGE, PROT_NONE));
    TRY(madvise(kept_back, PAGE, MADV_DONTFORK));
    TRY(madvise(kept_back, PAGE, MADV_DONTDUMP));
    return 0;
}

/* The permissions in /proc/self/maps of the mapping that begins at `start` (uses scratch). */
static void key_permissions(struct json *json, const char *key, const char *start)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)start);
    char *rest = scratch, found[5] = "";
    if (proc_read("/proc/self/maps", scratch, sizeof scratch) >= 0)
        for (char *line = next_line(&rest); line && !found[0]; line = next_line(&rest)) {
            const char *permissions = strchr(line, ' ');
            if (permissions && strncmp(line, wanted, strlen(wanted)) == 0)
                memcpy(found, permissions + 1, 4);
        }
    key_string(json, key, found[0] ? found : NULL);
}

/* The VmFlags in /proc/self/smaps of the mapping that begins at `start` that say what madvise(2) was told. */
static void key_advice(struct json *json, const char *key, const char *start)
{
    char wanted[32], *rest = scratch;
    snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)start);
    bool inside = false, no_fork = false, no_dump = false;
    if (proc_read("/proc/self/smaps", scratch, sizeof scratch) >= 0)
        for (char *line = next_line(&rest); line; line = next_line(&rest)) {
            if (strncmp(line, "VmFlags:", 8) == 0 && inside) {
                no_fork = strstr(line, " dc");
                no_dump = strstr(line, " dd");
                break;
            }
            inside = inside || strncmp(line, wanted, strlen(wanted)) == 0;
        }
    json_key(json, key);
    json_open(json, '{');
    key_bool(json, "dontfork", no_fork);
    key_bool(json, "dontdump", no_dump);
    json_close(json, '}');
}

static void memory_state(struct json *json)
{
    key_sum(json, "private", private_pages, LARGE);
    json_key(json, "sparse");
    json_open(json, '[');
    for (unsigned i = 0; i < 5; i++)
        json_hex(json, checksum(sparse + i * (SPARSE / 5), 2 * PAGE));
    json_close(json, ']');
    key_sum(json, "mapped", mapped, 4 * PAGE);
    key_sum(json, "shared_file", shared_file, LARGE);
    key_sum(json, "data", initialized, sizeof initialized);
    key_sum(json, "read_only", locked, PAGE);
    key_permissions(json, "read_only_permissions", locked);
    key_permissions(json, "forbidden_permissions", forbidden);
    if (mprotect(forbidden, PAGE, PROT_READ) == 0) {
        key_sum(json, "forbidden", forbidden, PAGE);
        mprotect(forbidden, PAGE, PROT_NONE);
    }
    key_advice(json, "advice", kept_back);
}

/* Pages that change with every look: a chain of dumps has to bring the last change of each. */
static char *turning;
static unsigned turns;

/* Of a huge page one write makes all dirty.  No new ones; and one that our own data may have has to be split, by
 * another protection for a part of it (without address space randomization the heap continues .bss, which is enough). */
static void no_huge_pages(void)
{
    extern char __bss_start[];
    const uintptr_t huge = 2u << 20, heap_end = (uintptr_t)sbrk(0);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    for (uintptr_t at = ((uintptr_t)__bss_start + huge - 1) & -huge; at + huge <= heap_end; at += huge) {
        if (mprotect((char *)at + PAGE, PAGE, PROT_READ) == 0)
            mprotect((char *)at + PAGE, PAGE, PROT_READ | PROT_WRITE);
    }
}

static int prepare_turning(void)
{
    no_huge_pages();
    turning = map(LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!turning)
        return ENOMEM;
    for (unsigned page = 0; page < LARGE / PAGE; page++)
        fill(turning + page * PAGE, PAGE, page);
    return 0;
}

/* The turn in which a page was last written: the pages whose number the turn divides are written in each. */
static uint64_t seed_of(unsigned page)
{
    unsigned last = 0;
    for (unsigned turn = 1; turn <= turns; turn++)
        if (page % (turn + 1) == 0)
            last = turn;
    return page + 1000000ull * last;
}

static void turning_state(struct json *json)
{
    static char expected[PAGE];
    unsigned wrong = 0;
    for (unsigned page = 0; page < LARGE / PAGE; page++) {
        fill(expected, PAGE, seed_of(page));
        wrong += memcmp(expected, turning + page * PAGE, PAGE) != 0;
    }
    key_unsigned(json, "wrong_pages", wrong);
    turns++;
    for (unsigned page = 0; page < LARGE / PAGE; page++)
        if (page % (turns + 1) == 0)
            fill(turning + page * PAGE, PAGE, seed_of(page));
}

const struct workload memory_workloads[] = {
    {"memory", prepare_memory, memory_state},
    {"changing-memory", prepare_turning, turning_state},
    {NULL, NULL, NULL},
};
