/* Timers: interval timers, POSIX timers, timerfd.  What is left of a long one goes on where it was; a short one ticks. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

#define SECOND INT64_C(1000000000)
#define LONG 100000 /* seconds until a timer fires that never does */
#define SLACK (600 * SECOND)

/* What was left when it was looked at last. */
struct left {
    int64_t value, at;
};

/* Whether as much is left as can be: not more than before (but for rounding), and not less than the time since explains.  (The time in
 * which the process did not exist does not count, but need not be left out.) */
static bool plausible(struct left *before, int64_t now)
{
    int64_t at = clock_nanoseconds(CLOCK_MONOTONIC), passed = at > before->at ? at - before->at : 0;
    bool fine = before->at == 0 || (now <= before->value + SECOND && now >= before->value - passed - SLACK);
    *before = (struct left){now, at};
    return fine && now > 0;
}

/* -- setitimer(2) ------------------------------------------------------------------------------------------------- */

static const int clocks[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
static struct left intervals[3];

static int prepare_intervals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    TRY(sigprocmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 3; i++) {
        struct itimerval timer = {.it_interval = {.tv_sec = 100 + i, .tv_usec = 4000}, .it_value = {.tv_sec = LONG}};
        TRY(setitimer(clocks[i], &timer, NULL));
    }
    return 0;
}

static void intervals_state(struct json *json)
{
    static const char *const names[] = {"real", "virtual", "prof"};
    for (int i = 0; i < 3; i++) {
        struct itimerval timer = {0};
        getitimer(clocks[i], &timer);
        int64_t now = timer.it_value.tv_sec * SECOND + timer.it_value.tv_usec * 1000;
        json_key(json, names[i]);
        json_open(json, '{');
        key_number(json, "interval", timer.it_interval.tv_sec * SECOND + timer.it_interval.tv_usec * 1000);
        key_bool(json, "plausible", plausible(&intervals[i], now));
        json_close(json, '}');
    }
}

/* -- timer_create(2) ---------------------------------------------------------------------------------------------- */

static timer_t on_monotonic, on_realtime, ticking;
static struct left monotonic_left, realtime_left;

/* `number` is the signal that it sends, 0 for none. */
static int make(timer_t *timer, clockid_t clock, int number, int value, struct itimerspec times)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number, .sigev_value.sival_int = value};
    if (number == 0)
        event.sigev_notify = SIGEV_NONE;
    sigset_t set;
    sigemptyset(&set);
    if (number)
        sigaddset(&set, number);
    TRY(sigprocmask(SIG_BLOCK, &set, NULL));
    TRY(timer_create(clock, &event, timer));
    TRY(timer_settime(*timer, 0, &times, NULL));
    return 0;
}

static int prepare_timers(void)
{
    struct itimerspec later = {.it_interval = {.tv_sec = 7, .tv_nsec = 5}, .it_value = {.tv_sec = LONG}};
    struct itimerspec soon = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    int error = make(&on_monotonic, CLOCK_MONOTONIC, SIGRTMIN + 5, 51, later);
    if (!error)
        error = make(&on_realtime, CLOCK_REALTIME, SIGRTMIN + 6, 61, later);
    return error ? error : make(&ticking, CLOCK_MONOTONIC, 0, 0, soon);
}

static void key_timer(struct json *json, const char *key, timer_t timer, struct left *before)
{
    struct itimerspec times = {0};
    timer_gettime(timer, &times);
    json_key(json, key);
    json_open(json, '{');
    key_number(json, "interval", times.it_interval.tv_sec * SECOND + times.it_interval.tv_nsec);
    key_bool(json, "plausible", plausible(before, times.it_value.tv_sec * SECOND + times.it_value.tv_nsec));
    json_close(json, '}');
}

static void timers_state(struct json *json)
{
    key_timer(json, "monotonic", on_monotonic, &monotonic_left);
    key_timer(json, "realtime", on_realtime, &realtime_left);
    struct itimerspec times = {0};
    timer_gettime(ticking, &times);
    key_bool(json, "ticks", times.it_value.tv_sec < 2 && (times.it_value.tv_sec || times.it_value.tv_nsec));
}

/* -- timerfd_create(2) -------------------------------------------------------------------------------------------- */

static int far, expired, unarmed;
static struct left far_left;

/* One that has fired, and that nobody has read.  It has no interval: CRIU restores such a one disarmed. */
static int expire(void)
{
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    struct pollfd waiting = {.fd = expired, .events = POLLIN};
    TRY(timerfd_settime(expired, 0, &soon, NULL));
    return poll(&waiting, 1, 10000) == 1 ? 0 : ETIME;
}

static int prepare_timerfd(void)
{
    struct itimerspec later = {.it_interval = {.tv_sec = 9, .tv_nsec = 3}, .it_value = {.tv_sec = LONG}};
    TRY(far = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    TRY(expired = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
    TRY(unarmed = timerfd_create(CLOCK_REALTIME, 0));
    TRY(timerfd_settime(far, 0, &later, NULL));
    return expire();
}

static void timerfd_state(struct json *json)
{
    struct itimerspec times = {0};
    uint64_t ticks = 0;
    timerfd_gettime(far, &times);
    key_number(json, "interval", times.it_interval.tv_sec * SECOND + times.it_interval.tv_nsec);
    key_bool(json, "plausible", plausible(&far_left, times.it_value.tv_sec * SECOND + times.it_value.tv_nsec));
    ssize_t got = read(expired, &ticks, sizeof ticks);
    key_number(json, "expired", got == sizeof ticks ? (int64_t)ticks : -1);
    key_bool(json, "expires_again", expire() == 0);
    memset(&times, 1, sizeof times);
    timerfd_gettime(unarmed, &times);
    key_bool(json, "unarmed", times.it_value.tv_sec == 0 && times.it_value.tv_nsec == 0);
    key_number(json, "clock", fdinfo_number(expired, "clockid", 10));
    key_flags(json, "far_flags", far);
    key_flags(json, "expired_flags", expired);
}

const struct workload timer_workloads[] = {
    {"interval-timers", prepare_intervals, intervals_state},
    {"posix-timers", prepare_timers, timers_state},
    {"timerfd", prepare_timerfd, timerfd_state},
    {NULL, NULL, NULL},
};
