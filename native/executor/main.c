/* seatrial-executor SOCKET PLAN KEEP: run the plan in a sealed memfd, then become the container's program.
 *
 * The descriptors' numbers are decimal.  KEEP is the first descriptor that is not the program's.  A failure is reported
 * on the socket as (operation, errno, detail); the exit status is 1 then, and 2 when there is no socket to report on.
 */
#define OPERATION_DISPATCH
#include "executor.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "decode.h"
#include "descriptors.h"
#include "message.h"
#include "text.h"

static struct machine machine = {.channel = -1, .root = -1, .null = -1, .empty_directory = -1, .index = NO_OPERATION};

void explain(struct machine *m, ...)
{
    struct text t = TEXT(m->detail);
    const char *word;
    va_list words;
    va_start(words, m);
    m->detail[0] = '\0';
    while ((word = va_arg(words, const char *)))
        text_add(&t, word);
    va_end(words);
}

static void fail(struct machine *m, int error)
{
    message_send(m, MESSAGE_ERROR, 0, error, m->detail, -1);
    _exit(1);
}

/* A private copy, exactly as long as the plan: what the decoder has checked cannot change afterwards. */
static int read_plan(int fd, unsigned char **data, size_t *size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size < 1 || st.st_size > (off_t)PLAN_BYTES_MAX)
        return -EFBIG;
    *size = (size_t)st.st_size;
    *data = malloc(*size);
    if (!*data)
        return -ENOMEM;
    for (size_t done = 0; done < *size;) {
        ssize_t n = pread(fd, *data + done, *size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int number(const char *text)
{
    int value = 0;
    if (!text || !*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > 1000000)
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

/* A closed stdio descriptor would become a pipe or a socket of ours: it is the null device instead, as in any Go program. */
static int fill_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return -EBADF;
    return 0;
}

int main(int argc, char **argv)
{
    struct machine *m = &machine;
    struct plan plan;
    unsigned char *data = NULL;
    size_t size = 0;
    char refusal[REFUSAL_BYTES];

    if (argc != 4)
        return 2;
    int channel = number(argv[1]), plan_fd = number(argv[2]), keep = number(argv[3]);
    if (keep < 3 || channel < keep || plan_fd < keep || channel == plan_fd)
        return 2;
    m->keep = (unsigned)keep;
    m->channel = channel;
    if (fill_stdio() < 0 || descriptors_cloexec(m->keep) < 0)
        return 2;
    /* What operations create has the mode that they say. */
    m->umask = umask(0);

    int r = read_plan(plan_fd, &data, &size);
    if (r < 0) {
        explain(m, "the plan cannot be read", NULL);
        fail(m, -r);
    }
    close(plan_fd);
    if (plan_decode(data, size, &plan, refusal) < 0) {
        explain(m, refusal, NULL);
        fail(m, EINVAL);
    }
    for (m->index = 0; m->index < plan.count; m->index++) {
        m->detail[0] = '\0';
        r = operation_run(m, &plan.operations[m->index]);
        if (r < 0)
            fail(m, -r);
    }
    return 2; /* not reached: the decoder wants exec at the end, and that does not return 0 */
}
