/* Users and groups by name, as the container's own files have them: passwd(5), group(5). */
#include "executor.h"

#include <stdlib.h>
#include <string.h>

#include "passwd.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */

struct search {
    const char *name;
    bool found, refused;
    uint32_t uid, gid;
    uint32_t *groups;
    uint32_t count;
};

/* name:password:uid:gid:... */
static bool user_line(char *line, void *context)
{
    struct search *s = context;
    char *field[4];
    for (int i = 0; i < 4; i++) {
        field[i] = strsep(&line, ":");
        if (!field[i])
            return true;
    }
    if (strcmp(field[0], s->name) != 0 || !id_number(field[2], &s->uid) || !id_number(field[3], &s->gid))
        return true;
    s->found = true;
    return false;
}

/* name:password:gid:member,member */
static bool group_line(char *line, void *context)
{
    struct search *s = context;
    char *name = strsep(&line, ":");
    if (strcmp(name, s->name) != 0 || !strsep(&line, ":"))
        return true;
    char *number = strsep(&line, ":");
    s->found = number && id_number(number, &s->gid);
    return !s->found;
}

static bool member_line(char *line, void *context)
{
    struct search *s = context;
    uint32_t gid;
    strsep(&line, ":");
    strsep(&line, ":");
    char *number = strsep(&line, ":"), *member;
    if (!number || !id_number(number, &gid))
        return true;
    while ((member = strsep(&line, ",")))
        if (strcmp(member, s->name) == 0)
            break;
    if (!member)
        return true;
    if (s->count == GROUPS_MAX)
        return !(s->refused = true);
    s->groups[s->count++] = gid;
    return true;
}

static int look_up(struct machine *m, const char *path, line_reader *reader, struct search *s)
{
    int r = each_line(m, path, reader, s);
    if (r < 0) {
        explain(m, path, " of the container", NULL);
        return r;
    }
    if (!s->found) {
        explain(m, "not in ", path, " of the container", NULL);
        return -ENOENT;
    }
    return 0;
}

/* The groups that list the user as a member; a container without /etc/group has none. */
static int memberships(struct machine *m, const char *user)
{
    struct search s = {.name = user, .groups = calloc(GROUPS_MAX, sizeof(uint32_t))};
    if (!s.groups)
        return -ENOMEM;
    int r = each_line(m, "/etc/group", member_line, &s);
    if (r < 0 && r != -ENOENT) {
        explain(m, "/etc/group of the container", NULL);
    } else if (s.refused) {
        explain(m, "more than 65536 groups", NULL);
        r = -E2BIG;
    } else {
        r = 0;
        m->groups = s.groups;
        m->group_count = s.count;
        s.groups = NULL;
    }
    free(s.groups);
    return r;
}

int op_user(struct machine *m, const struct op_user *a)
{
    struct search user = {.name = a->user}, group = {.name = a->group};
    int r = 0;
    bool by_name = !id_number(a->user, &user.uid);
    if (by_name)
        r = look_up(m, "/etc/passwd", user_line, &user);
    if (r == 0 && *a->group && !id_number(a->group, &group.gid))
        r = look_up(m, "/etc/group", group_line, &group);
    if (r == 0 && by_name && !*a->group)
        r = memberships(m, a->user);
    if (r < 0)
        return r;
    m->uid = user.uid;
    m->gid = *a->group ? group.gid : user.gid;
    m->user_found = true;
    return 0;
}
