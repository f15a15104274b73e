/* What the probe's files share: actions, reading of /proc, the names of flags, and the sections of a report. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "json.h"

/* -- actions (actions.c) -------------------------------------------------------------------------------------------
 * A verb's `run` appends at most one JSON value, the line's "value", and returns 0, an errno or BAD_ARGUMENTS.
 * `after`, if there is one and `run` returned 0, is called when the line has been written: that is where a verb stays,
 * or ends.  A verb without `run` writes its own lines. */
struct verb {
    const char *name;
    const char *usage; /* of the arguments, for docs and errors */
    int least, most;   /* number of arguments; most -1: any */
    int (*run)(struct json *value, int argc, char **argv);
    void (*after)(int argc, char **argv);
};

extern const struct verb file_verbs[], path_verbs[], mount_verbs[], process_verbs[], signal_verbs[], load_verbs[],
    syscall_verbs[], hook_verbs[], descriptor_verbs[], kernel_verbs[], report_verbs[], workload_verbs[];

#define BAD_ARGUMENTS (-1) /* the line says so, and the process ends with STATUS_USAGE */
#define STATUS_USAGE 64    /* EX_USAGE of <sysexits.h> */
#define STATUS_OUTPUT 73   /* EX_CANTCREAT */

int run_actions(int argc, char **argv); /* split at "--"; the process's exit status */
void run_action(int argc, char **argv);
int in_child(struct json *value, int argc, char **argv); /* the verb `child`: its arguments are an action too */
void refuse(int argc, char **argv, const char *complaint); /* writes the line of an action that cannot be tried */

/* -- output (output.c): one line, one write(2) --------------------------------------------------------------------- */
int output_to_file(const char *path); /* 0 or an errno */
void output_to_descriptor(int fd);
int output_descriptor(void);
void output_line(struct json *line); /* appends the newline; replaces a line that overflowed by an error line */

/* -- reading (read.c) ----------------------------------------------------------------------------------------------
 * Nothing here blocks on a FIFO or takes a terminal.  proc_* trust only a real procfs: -1 where a tmpfs, a mask or an
 * empty directory is in its place. */
bool is_proc(int fd);
ssize_t read_descriptor(int fd, char *buffer, size_t size); /* until end of file or size - 1; NUL-terminated */
ssize_t read_file(const char *path, char *buffer, size_t size);
ssize_t proc_read(const char *path, char *buffer, size_t size);
ssize_t proc_link(const char *path, char *buffer, size_t size);
/* A field of /proc/self/status, such as "Umask"; NULL if unknown. */
const char *status_field(const char *name, char *buffer, size_t size);
/* The file's text without the last newline, or null. */
void key_proc_text(struct json *json, const char *key, const char *path);
char *next_line(char **text); /* cuts at '\n'; NULL at the end */
char *next_field(char **line, char separator);

extern char scratch[1 << 20]; /* one large buffer for a file's text; a function that uses it says so */

/* -- numbers and names (names.c) ----------------------------------------------------------------------------------- */
struct name {
    const char *name;
    uint64_t value;
};
extern const struct name mount_flag_names[], statfs_flag_names[], open_flag_names[], clone_flag_names[],
    umount_flag_names[], filesystem_names[], policy_names[], socket_names[], prctl_get_names[], rlimit_names[];

bool parse_integer(const char *text, int64_t *value); /* decimal, 0x, leading 0; the whole text */
bool parse_octal(const char *text, uint64_t *value);
bool parse_flags(const struct name *table, const char *text, uint64_t *value); /* "ro,nosuid"; "-", "none": 0 */
bool parse_seconds(const char *text, int64_t *nanoseconds); /* "1.5" */
bool parse_signal(const char *text, int *number); /* "TERM", "SIGTERM", "15", "RTMIN+1" */
const char *signal_name(int number, char buffer[24]);
const char *name_of(const struct name *table, uint64_t value); /* NULL if unknown */
void json_flags(struct json *json, const struct name *table, uint64_t value); /* names whose bits are all set */

/* -- sections (report_*.c): each appends its keys to the open object ----------------------------------------------- */
void report_identity(struct json *json);
void report_limits(struct json *json);
void report_scheduling(struct json *json);
void report_security(struct json *json);
void report_namespaces(struct json *json);
void report_mounts(struct json *json);
void report_files(struct json *json);
void report_network(struct json *json);

void json_namespaces(struct json *json, const char *process); /* "self" or a pid */
void json_clocks(struct json *json);
void json_mounts(struct json *json, const char *target); /* all (NULL) or those at target; uses scratch */
void json_descriptors(struct json *json);
int json_stat_path(struct json *json, const char *path); /* lstat; 0 or an errno, then nothing is written */
void stat_keys(struct json *json, const struct stat *status);
int statfs_keys(struct json *json, const char *path); /* 0 or an errno, then nothing is written */
int json_winsize(struct json *json, int fd);          /* [rows, columns], or null: 0 or an errno */
int keyring_keys(struct json *json);                  /* the session keyring; as statfs_keys */
const char *file_type(mode_t mode);

void json_words(struct json *json, char **words);
void process_words(struct json *json); /* keys argv and env */

extern char first_cgroup[1 << 16]; /* /proc/self/cgroup as main() found it */
extern bool first_cgroup_known;
const char *first_cgroup_text(void); /* NULL if it could not be read, or not from a procfs */
unsigned long auxiliary(unsigned long type);
int64_t clock_nanoseconds(int clock);
