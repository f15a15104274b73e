/* decode_rate COUNT < PLAN: decode one plan COUNT times and print the seconds that it took. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decode.h"

static unsigned char data[1 << 20];

int main(int argc, char **argv)
{
    size_t size = fread(data, 1, sizeof(data), stdin);
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    char refusal[REFUSAL_BYTES];
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < count; i++) {
        struct plan plan;
        if (plan_decode(data, size, &plan, refusal) < 0) {
            fprintf(stderr, "%s\n", refusal);
            return 1;
        }
        plan_free(&plan);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    return 0;
}
