/* What a shell cannot do: workload lock FILE | tcp PORT | memory MEGABYTES.  Each counts in /tmp/count. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void count(long number)
{
    FILE *file = fopen("/tmp/count", "w");
    if (!file)
        exit(3);
    fprintf(file, "%ld\n", number);
    fclose(file);
    usleep(50000);
}

static int hold_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0)
        return 2;
    for (long i = 1;; i++)
        count(i);
}

/* Both ends of a connection over the loopback interface; a byte goes round for each number. */
static int talk(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, ours, theirs;
    char byte = 'x';
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0)
        return 2;
    ours = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ours, (struct sockaddr *)&address, sizeof(address)) < 0)
        return 2;
    theirs = accept(listener, NULL, NULL);
    for (long i = 1;; i++) {
        if (write(ours, &byte, 1) != 1 || read(theirs, &byte, 1) != 1)
            return 4;
        count(i);
    }
}

/* Pages whose content is known: it is looked through for each number. */
static int remember(long megabytes)
{
    size_t size = (size_t)megabytes << 20, words = size / sizeof(long);
    long *memory = malloc(size);
    if (!memory)
        return 2;
    for (size_t i = 0; i < words; i++)
        memory[i] = (long)(i * 2654435761u);
    for (long number = 1;; number++) {
        for (size_t i = 0; i < words; i++)
            if (memory[i] != (long)(i * 2654435761u))
                return 4;
        count(number);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 1;
    if (!strcmp(argv[1], "lock"))
        return hold_lock(argv[2]);
    if (!strcmp(argv[1], "tcp"))
        return talk(atoi(argv[2]));
    return !strcmp(argv[1], "memory") ? remember(atol(argv[2])) : 1;
}
