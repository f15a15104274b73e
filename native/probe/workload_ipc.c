/* Memory that processes share, and the objects of System V. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

/* -- mappings shared with a child --------------------------------------------------------------------------------- */

#define SIZE (1u << 18)

struct exchange {
    volatile unsigned asked, answered;
    char bytes[SIZE - 2 * sizeof(unsigned)];
};

static struct exchange *anonymous, *named;
static char *sealed;
static int memory;

/* Copies numbers from one field to the other, in both mappings. */
static _Noreturn void answer(void)
{
    for (;;) {
        anonymous->answered = anonymous->asked;
        named->answered = named->asked;
        usleep(2000);
    }
}

static int prepare_shared(void)
{
    int file = open("/dev/shm/workload", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    TRY(file);
    TRY(ftruncate(file, SIZE));
    TRY(memory = memfd_create("workload", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    TRY(ftruncate(memory, 8192));
    anonymous = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    named = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    sealed = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (anonymous == MAP_FAILED || named == MAP_FAILED || sealed == MAP_FAILED)
        return errno;
    TRY(close(file));
    TRY(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    fill(anonymous->bytes, sizeof anonymous->bytes, 1);
    fill(named->bytes, sizeof named->bytes, 2);
    fill(sealed, 8192, 3);
    pid_t child = fork();
    TRY(child);
    if (child == 0)
        answer();
    return 0;
}

/* Whether a new number comes back. */
static bool alive(struct exchange *exchange)
{
    unsigned wanted = exchange->answered + 1;
    exchange->asked = wanted;
    for (int i = 0; i < 5000 && exchange->answered != wanted; i++)
        usleep(2000);
    return exchange->answered == wanted;
}

static void shared_state(struct json *json)
{
    key_sum(json, "anonymous", anonymous->bytes, sizeof anonymous->bytes);
    key_sum(json, "named", named->bytes, sizeof named->bytes);
    key_sum(json, "memfd", sealed, 8192);
    key_count(json, "seals", fcntl(memory, F_GET_SEALS));
    key_bool(json, "anonymous_is_shared", alive(anonymous));
    key_bool(json, "named_is_shared", alive(named));
    char bytes[8192];
    ssize_t got = pread(memory, bytes, sizeof bytes, 0);
    key_bool(json, "memfd_is_the_mapping", got == sizeof bytes && memcmp(bytes, sealed, sizeof bytes) == 0);
}

/* -- System V ----------------------------------------------------------------------------------------------------- */

#define KEY 0x5ea

static int segment, semaphores, queue;
static char *attached;

struct message {
    long type;
    char text[32];
};

static int prepare_system_v(void)
{
    TRY(segment = shmget(KEY, SIZE, IPC_CREAT | 0600));
    attached = shmat(segment, NULL, 0);
    if (attached == (void *)-1)
        return errno;
    fill(attached, SIZE, 4);
    TRY(semaphores = semget(KEY, 3, IPC_CREAT | 0640));
    for (int i = 0; i < 3; i++)
        TRY(semctl(semaphores, i, SETVAL, 5 + i));
    TRY(queue = msgget(KEY, IPC_CREAT | 0600));
    TRY(msgsnd(queue, &(struct message){5, "five"}, 5, 0));
    TRY(msgsnd(queue, &(struct message){3, "three"}, 6, 0));
    return 0;
}

static void system_v_state(struct json *json)
{
    struct shmid_ds about = {0};
    struct message messages[2];
    key_number(json, "segment", shmget(KEY, 0, 0) == segment ? segment : -1);
    key_sum(json, "memory", attached, SIZE);
    shmctl(segment, IPC_STAT, &about);
    key_number(json, "attached", (int64_t)about.shm_nattch);
    key_number(json, "mode", about.shm_perm.mode);
    json_key(json, "semaphores");
    json_open(json, '[');
    for (int i = 0; i < 3; i++)
        json_number(json, semctl(semaphores, i, GETVAL));
    json_close(json, ']');
    json_key(json, "messages");
    json_open(json, '[');
    for (int i = 0; i < 2; i++) {
        memset(&messages[i], 0, sizeof messages[i]);
        ssize_t got = msgrcv(queue, &messages[i], sizeof messages[i].text, 0, IPC_NOWAIT);
        json_number(json, messages[i].type);
        json_bytes(json, messages[i].text, got < 0 ? 0 : (size_t)got);
        messages[i].type = got < 0 ? 0 : messages[i].type;
    }
    json_close(json, ']');
    for (int i = 0; i < 2; i++)
        if (messages[i].type)
            msgsnd(queue, &messages[i], strlen(messages[i].text) + 1, IPC_NOWAIT);
}

const struct workload ipc_workloads[] = {
    {"shared-memory", prepare_shared, shared_state},
    {"system-v", prepare_system_v, system_v_state},
    {NULL, NULL, NULL},
};
