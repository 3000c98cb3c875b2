#define _GNU_SOURCE /* getpid */

#include "edgeseg.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "bundle.h"
#include "decode.h"
#include "error.h"
#include "network.h"
#include "resize.h"

#ifndef EDGESEG_LIBRARY_VERSION
#error "define EDGESEG_LIBRARY_VERSION: CMakeLists.txt does"
#endif

#define MOST_OPTIONS 4096 /* bytes, of any later version */
#define MOST_THREADS 4096

struct edgeseg_handle {
    pid_t owner;
    atomic_flag busy;
    edgeseg_status opened; /* what opening gave */
    Error error;
    Bundle bundle;
    Network network;
    Resize resize;
    Decode decode;
};

/* Takes the options that the caller knows; those that only a later version has must be zero. */
static edgeseg_status take_options(const edgeseg_options *given, edgeseg_options *options, Error *error) {
    *options = (edgeseg_options)EDGESEG_OPTIONS_INIT;
    if (!given)
        return EDGESEG_OK;
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size < sizeof *options || size > MOST_OPTIONS)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT,
                            "the options' size is %zu, expected %zu; start from EDGESEG_OPTIONS_INIT", size, sizeof *options);
    for (size_t i = sizeof *options; i < size; i++)
        if (((const unsigned char *)given)[i])
            return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT,
                                "an option is set that edgeseg %s does not know; use a newer library", edgeseg_version());
    memcpy(options, given, sizeof *options);
    if (options->threads < 0 || options->threads > MOST_THREADS)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "%ld threads were asked for, expected 0 to %d",
                            (long)options->threads, MOST_THREADS);
    if (options->reserved)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "the reserved option is %lu, expected 0",
                            (unsigned long)options->reserved);
    return EDGESEG_OK;
}

static edgeseg_status open_into(edgeseg_handle *handle, const char *bundle, const edgeseg_options *given) {
    edgeseg_options options;
    const float *logits;
    if (!bundle || !*bundle)
        return edgeseg_fail(&handle->error, EDGESEG_INVALID_ARGUMENT, "the bundle's path is %s; give its folder",
                            bundle ? "empty" : "NULL");
    edgeseg_status status = take_options(given, &options, &handle->error);
    if (!status)
        status = edgeseg_bundle_read(bundle, options.variant, &handle->bundle, &handle->error);
    if (!status)
        status = edgeseg_network_open(&handle->bundle, options.onnxruntime, options.threads, &handle->network, &handle->error);
    edgeseg_bundle_drop_graph(&handle->bundle);
    if (!status) /* on black, so that no later frame has work that is done once, and its logits are known to fit */
        status = edgeseg_network_run(&handle->network, &logits, &handle->error);
    return status;
}

static void free_parts(edgeseg_handle *handle, int own) {
    edgeseg_network_close(&handle->network, own);
    edgeseg_bundle_free(&handle->bundle);
    edgeseg_resize_free(&handle->resize);
    edgeseg_decode_free(&handle->decode);
}

edgeseg_status edgeseg_open(const char *bundle, const edgeseg_options *options, edgeseg_handle **handle) {
    if (!handle)
        return EDGESEG_INVALID_ARGUMENT;
    *handle = calloc(1, sizeof **handle);
    if (!*handle)
        return EDGESEG_NO_MEMORY;
    atomic_flag_clear(&(*handle)->busy);
    (*handle)->owner = getpid();
    edgeseg_status status = open_into(*handle, bundle, options);
    if (status)
        free_parts(*handle, 1);
    (*handle)->opened = status;
    return status;
}

/* Checks a frame, and that its class map has room. */
static edgeseg_status check_frame(const edgeseg_frame *frame, const uint8_t *classes, size_t classes_bytes, size_t *stride,
                                  Error *error) {
    if (!frame || !frame->bgr || !classes)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "%s is NULL; give memory",
                            !frame ? "the frame" : !frame->bgr ? "the frame's bgr" : "the class map");
    if (frame->width < 1 || frame->height < 1 || frame->width > EDGESEG_MOST_SIDE || frame->height > EDGESEG_MOST_SIDE)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "a frame of %ld x %ld pixels; expected 1 to %d each",
                            (long)frame->width, (long)frame->height, EDGESEG_MOST_SIDE);
    size_t row = (size_t)frame->width * 3, height = (size_t)frame->height, pixels = (size_t)frame->width * height;
    *stride = frame->stride ? frame->stride : row;
    if (*stride < row || *stride > (SIZE_MAX - row) / height)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "a stride of %zu bytes; expected at least %zu for a width of %ld",
                            *stride, row, (long)frame->width);
    size_t needed = *stride * (height - 1) + row;
    if (frame->bytes < needed)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT,
                            "a frame of %zu bytes; %ld x %ld pixels with a stride of %zu need %zu: uint8, 3 bytes a pixel",
                            frame->bytes, (long)frame->width, (long)frame->height, *stride, needed);
    if (classes_bytes < pixels)
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT, "room for a class map of %zu bytes; this frame's has %zu",
                            classes_bytes, pixels);
    return EDGESEG_OK;
}

static edgeseg_status run(edgeseg_handle *handle, const edgeseg_frame *frame, uint8_t *classes, size_t classes_bytes) {
    Network *network = &handle->network;
    Error *error = &handle->error;
    const float *logits;
    size_t stride = 0;
    if (handle->owner != getpid())
        return edgeseg_fail(error, EDGESEG_INVALID_ARGUMENT,
                            "the handle belongs to the process that opened it; open another one in this process");
    error->text[0] = 0;
    edgeseg_status status = check_frame(frame, classes, classes_bytes, &stride, error);
    if (status)
        return status;
    const Bundle *bundle = &handle->bundle;
    if (!edgeseg_resize_prepare(&handle->resize, frame->height, frame->width, bundle->input_height, bundle->input_width) ||
        !edgeseg_decode_prepare(&handle->decode, network->height, network->width, frame->height, frame->width))
        return edgeseg_no_memory(error);
    edgeseg_resize(&handle->resize, frame->bgr, stride, network->frame);
    status = edgeseg_network_run(network, &logits, error);
    if (status)
        return status;
    if (!edgeseg_decode(&handle->decode, logits, network->classes, classes)) {
        memset(classes, EDGESEG_VOID, (size_t)frame->width * (size_t)frame->height);
        return edgeseg_fail(error, EDGESEG_NOT_FINITE,
                            "the network gave NaN or infinity for this frame; do not act on its class map, which is void");
    }
    return EDGESEG_OK;
}

edgeseg_status edgeseg_run(edgeseg_handle *handle, const edgeseg_frame *frame, uint8_t *classes, size_t classes_bytes) {
    if (!handle)
        return EDGESEG_INVALID_ARGUMENT;
    if (handle->opened)
        return handle->opened; /* with its message */
    if (atomic_flag_test_and_set_explicit(&handle->busy, memory_order_acquire))
        return EDGESEG_BUSY;
    edgeseg_status status = run(handle, frame, classes, classes_bytes);
    atomic_flag_clear_explicit(&handle->busy, memory_order_release);
    return status;
}

int edgeseg_labels(const edgeseg_handle *handle, const edgeseg_label **labels) {
    int known = handle && !handle->opened;
    if (labels)
        *labels = known ? handle->bundle.labels : NULL;
    return known ? handle->bundle.label_count : 0;
}

const char *edgeseg_error(const edgeseg_handle *handle) {
    return handle ? handle->error.text : "there is no handle: edgeseg_open() had no memory for one";
}

void edgeseg_close(edgeseg_handle *handle) {
    if (!handle)
        return;
    free_parts(handle, handle->owner == getpid());
    free(handle);
}

const char *edgeseg_version(void) { return EDGESEG_LIBRARY_VERSION; }
