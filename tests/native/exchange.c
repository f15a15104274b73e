/* exchange A B: swap two names with renameat2(RENAME_EXCHANGE) until killed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    while (argc == 3 && renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) == 0)
        ;
    return 1;
}
