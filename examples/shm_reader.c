/* Follows the class maps of `edgeseg run --shm NAME`.  cc -std=c11 -O2 shm_reader.c -o shm_reader && ./shm_reader NAME */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edgeseg_shm.h"

static const edgeseg_header *open_shm(const char *name) {
    struct stat info;
    int file = shm_open(name, O_RDONLY, 0);
    if (file < 0 || fstat(file, &info) != 0) return NULL;
    const edgeseg_header *shm = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    return shm == MAP_FAILED || memcmp(shm->magic, "EDGESEG1", 8) || shm->version != EDGESEG_VERSION ? NULL : shm;
}

int main(int count, char **words) {
    const edgeseg_header *shm = count > 1 ? open_shm(words[1]) : NULL;
    if (!shm) return fprintf(stderr, "there is no result of edgeseg under this name\n"), 2;
    size_t room = (size_t)shm->max_height * shm->max_width;
    uint8_t *classes = malloc(room);
    edgeseg_slot head;
    for (uint64_t seen = 0, number = 0; atomic_load(&shm->state) == EDGESEG_OPEN; usleep(2000)) {
        if (edgeseg_age_ns(atomic_load(&shm->heartbeat_ns)) > 2000000000u) return puts("writer dead"), 1;
        number = edgeseg_read(shm, &head, classes, room);
        if (number == seen) continue;
        seen = number;
        size_t of_class_0 = 0, size = (size_t)head.height * head.width;
        for (size_t i = 0; i < size; i++) of_class_0 += classes[i] == 0;
        printf("frame %lld %ux%u valid %u reason %u class_0 %zu\n", (long long)head.frame_id, head.width, head.height,
               head.valid, head.reason, of_class_0);
        if (head.landing == EDGESEG_SPOT)
            printf("landing spot: %.2f m forward, %.2f m right, %.2f m down, %.2f m clear\n", head.landing_frd_m[0],
                   head.landing_frd_m[1], head.landing_frd_m[2], head.landing_clearance_m);
        else if (head.landing == EDGESEG_NO_SPOT)
            printf("no landing spot: %.24s\n", head.landing_reason);
        fflush(stdout);
    }
    puts(atomic_load(&shm->state) == EDGESEG_CLOSED ? "writer ended" : "open it again");
    return 0;
}
