/* Drives the C library for the tests, as a program that was told by lines on its standard input. Memory for frames and
   class maps is of exactly the size that is named, so that the address sanitizer sees one byte too many.

     open SIZE THREADS RESERVED VARIANT LIBRARY BUNDLE    "-" for a VARIANT or LIBRARY of NULL; closes what was open
     run WIDTH HEIGHT STRIDE ROOM BYTES                   and so many bytes: a frame, and the room for its class map
     labels
     null                                                 every way to hand in NULL
     child                                                runs and closes the handle in a forked child
     threads COUNT TIMES                                  many threads in one handle, then one handle for each
     close

   Each answers with lines; `run` with "STATUS message" and the class map. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edgeseg.h"
#include "edgeseg_shm.h" /* both in one program: their names do not meet */

static edgeseg_handle *handle;
static char bundle[4096], library[4096];

static void do_open(const char *line) {
    edgeseg_options options = EDGESEG_OPTIONS_INIT;
    char variant[300];
    long threads, reserved;
    long long size;
    if (sscanf(line, "open %lld %ld %ld %299s %4095s %4095[^\n]", &size, &threads, &reserved, variant, library, bundle) != 6)
        exit(2);
    struct {
        edgeseg_options known;
        unsigned char unknown[16];
    } given = {options, {0}};
    if (size < 0) { /* a later version's options, with something set in what this one does not know */
        size = (long long)sizeof given;
        given.unknown[15] = 1;
    }
    given.known.size = (size_t)size;
    given.known.threads = (int32_t)threads;
    given.known.reserved = (uint32_t)reserved;
    given.known.variant = strcmp(variant, "-") ? variant : NULL;
    given.known.onnxruntime = strcmp(library, "-") ? library : NULL;
    edgeseg_close(handle);
    edgeseg_status status = edgeseg_open(bundle, &given.known, &handle);
    printf("%d %s\n", status, edgeseg_error(handle));
}

static void do_run(const char *line) {
    long width, height;
    unsigned long long stride, room, bytes;
    if (sscanf(line, "run %ld %ld %llu %llu %llu", &width, &height, &stride, &room, &bytes) != 5)
        exit(2);
    uint8_t *data = malloc(bytes ? bytes : 1), *classes = malloc(room ? room : 1);
    if (fread(data, 1, bytes, stdin) != bytes)
        exit(2);
    memset(classes, 77, room);
    edgeseg_frame frame = {data, bytes, (int32_t)width, (int32_t)height, stride};
    edgeseg_status status = edgeseg_run(handle, &frame, classes, room);
    printf("%d %s\n", status, edgeseg_error(handle));
    fwrite(classes, 1, room, stdout);
    free(data);
    free(classes);
}

static void do_labels(void) {
    const edgeseg_label *labels;
    int count = edgeseg_labels(handle, &labels);
    printf("%d\n", count);
    for (int i = 0; i < count; i++)
        printf("%d %d %d %s\n", labels[i].rgb[0], labels[i].rgb[1], labels[i].rgb[2], labels[i].name);
}

static void do_null(void) {
    uint8_t pixel[3] = {0}, class_id;
    edgeseg_frame good = {pixel, 3, 1, 1, 0}, none = {NULL, 3, 1, 1, 0};
    edgeseg_handle *other = NULL;
    printf("open without a handle: %d\n", edgeseg_open(bundle, NULL, NULL));
    int status = edgeseg_open(NULL, NULL, &other);
    printf("open without a bundle: %d %s\n", status, edgeseg_error(other));
    printf("run what is not open: %d %s\n", edgeseg_run(other, &good, &class_id, 1), edgeseg_error(other));
    printf("its labels: %d\n", edgeseg_labels(other, NULL));
    edgeseg_close(other);
    printf("run without a handle: %d\n", edgeseg_run(NULL, &good, &class_id, 1));
    printf("run without a frame: %d %s\n", edgeseg_run(handle, NULL, &class_id, 1), edgeseg_error(handle));
    printf("run without pixels: %d %s\n", edgeseg_run(handle, &none, &class_id, 1), edgeseg_error(handle));
    printf("run without a class map: %d %s\n", edgeseg_run(handle, &good, NULL, 1), edgeseg_error(handle));
    printf("run after all that: %d %s\n", edgeseg_run(handle, &good, &class_id, 1), edgeseg_error(handle));
    printf("labels of no handle: %d\n", edgeseg_labels(NULL, NULL));
    printf("labels to nowhere: %d\n", edgeseg_labels(handle, NULL));
    printf("error of no handle: %s\n", edgeseg_error(NULL));
    edgeseg_close(NULL);
}

static void do_child(void) {
    uint8_t pixel[3] = {0}, class_id = 77;
    edgeseg_frame frame = {pixel, 3, 1, 1, 0};
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        int status = edgeseg_run(handle, &frame, &class_id, 1);
        printf("child: %d %s\n", status, edgeseg_error(handle));
        edgeseg_close(handle);
        fflush(stdout);
        _exit(0);
    }
    int ended;
    waitpid(child, &ended, 0);
    int status = edgeseg_run(handle, &frame, &class_id, 1);
    printf("ended: %d\nparent: %d %s\n", ended, status, edgeseg_error(handle));
}

#define SIDE 40

typedef struct {
    edgeseg_handle *in; /* NULL: its own */
    int times, ran, busy, failed;
} Task;

static void *work(void *argument) {
    Task *task = argument;
    uint8_t pixels[SIDE * SIDE * 3], classes[SIDE * SIDE];
    edgeseg_frame frame = {pixels, sizeof pixels, SIDE, SIDE, 0};
    memset(pixels, 200, sizeof pixels);
    edgeseg_handle *own = NULL;
    if (!task->in) {
        edgeseg_options options = EDGESEG_OPTIONS_INIT;
        options.onnxruntime = library;
        task->failed += edgeseg_open(bundle, &options, &own) != EDGESEG_OK;
    }
    for (int i = 0; i < task->times; i++) {
        int status = edgeseg_run(task->in ? task->in : own, &frame, classes, sizeof classes);
        task->busy += status == EDGESEG_BUSY;
        task->ran += status == EDGESEG_OK;
        for (int p = 1; status == EDGESEG_OK && p < SIDE * SIDE; p++)
            task->failed += classes[p] != classes[0];
    }
    edgeseg_close(own);
    return NULL;
}

static void do_threads(const char *line) {
    int count, times;
    if (sscanf(line, "threads %d %d", &count, &times) != 2 || count > 16)
        exit(2);
    for (int shared = 1; shared >= 0; shared--) {
        pthread_t threads[16];
        Task tasks[16];
        int ran = 0, busy = 0, failed = 0;
        for (int i = 0; i < count; i++) {
            tasks[i] = (Task){shared ? handle : NULL, times, 0, 0, 0};
            pthread_create(&threads[i], NULL, work, &tasks[i]);
        }
        for (int i = 0; i < count; i++) {
            pthread_join(threads[i], NULL);
            ran += tasks[i].ran;
            busy += tasks[i].busy;
            failed += tasks[i].failed;
        }
        printf("%s: ran %d busy %d failed %d\n", shared ? "one handle" : "one each", ran, busy, failed);
    }
}

int main(void) {
    char line[16384];
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "open ", 5))
            do_open(line);
        else if (!strncmp(line, "run ", 4))
            do_run(line);
        else if (!strcmp(line, "labels\n"))
            do_labels();
        else if (!strcmp(line, "null\n"))
            do_null();
        else if (!strcmp(line, "child\n"))
            do_child();
        else if (!strncmp(line, "threads ", 8))
            do_threads(line);
        else if (!strcmp(line, "close\n")) {
            edgeseg_close(handle);
            handle = NULL;
            puts("closed");
        } else
            return 2;
        fflush(stdout);
    }
    edgeseg_close(handle);
    return 0;
}
