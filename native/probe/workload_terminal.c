/* Standard streams: something that is said on them, a terminal; and a pair of terminals that the process opened. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "probe.h"
#include "workload.h"

static void key_settings(struct json *json, const char *key, int fd)
{
    struct termios settings;
    memset(&settings, 0, sizeof settings);
    json_key(json, key);
    json_open(json, '{');
    key_bool(json, "terminal", tcgetattr(fd, &settings) == 0);
    key_unsigned(json, "input", settings.c_iflag);
    key_unsigned(json, "output", settings.c_oflag);
    key_unsigned(json, "control", settings.c_cflag);
    key_unsigned(json, "local", settings.c_lflag);
    key_sum(json, "characters", settings.c_cc, sizeof settings.c_cc);
    json_key(json, "size");
    json_winsize(json, fd);
    json_close(json, '}');
}

/* -- the container's ---------------------------------------------------------------------------------------------- */

static int prepare_terminal(void)
{
    struct termios settings;
    TRY(tcgetattr(0, &settings));
    settings.c_lflag &= ~(tcflag_t)ECHO;
    settings.c_cc[VERASE] = 'e' & 0x1f;
    TRY(tcsetattr(0, TCSANOW, &settings));
    TRY(ioctl(0, TIOCSWINSZ, &(struct winsize){.ws_row = 33, .ws_col = 77}));
    return 0;
}

static void terminal_state(struct json *json)
{
    key_settings(json, "settings", 0);
    key_count(json, "session", tcgetsid(0));
    key_count(json, "foreground", tcgetpgrp(0));
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    key_bool(json, "controlling", fd >= 0);
    close(fd);
}

/* -- something that is said each time ------------------------------------------------------------------------------ */

static int prepare_speaker(void)
{
    return 0;
}

static void speaker_state(struct json *json)
{
    key_count(json, "said", write(STDOUT_FILENO, "spoken\n", 7));
}

/* -- a pair in the container -------------------------------------------------------------------------------------- */

static int master, slave;

static int prepare_pair(void)
{
    struct termios settings;
    TRY(master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    TRY(grantpt(master));
    TRY(unlockpt(master));
    const char *name = ptsname(master);
    TRY(slave = open(name ? name : "", O_RDWR | O_NOCTTY | O_CLOEXEC));
    TRY(tcgetattr(slave, &settings));
    cfmakeraw(&settings);
    settings.c_cc[VMIN] = 3;
    TRY(tcsetattr(slave, TCSANOW, &settings));
    TRY(ioctl(master, TIOCSWINSZ, &(struct winsize){.ws_row = 11, .ws_col = 22}));
    return 0;
}

static void pair_state(struct json *json)
{
    char forth[8] = "", back[8] = "";
    key_settings(json, "settings", slave);
    key_string(json, "name", ptsname(master));
    bool typed = write(master, "typed", 5) == 5 && read(slave, forth, 5) == 5 && memcmp(forth, "typed", 5) == 0;
    bool shown = write(slave, "shown", 5) == 5 && read(master, back, 5) == 5 && memcmp(back, "shown", 5) == 0;
    key_bool(json, "typed", typed);
    key_bool(json, "shown", shown);
}

const struct workload terminal_workloads[] = {
    {"speaker", prepare_speaker, speaker_state},
    {"terminal", prepare_terminal, terminal_state},
    {"terminal-pair", prepare_pair, pair_state},
    {NULL, NULL, NULL},
};
