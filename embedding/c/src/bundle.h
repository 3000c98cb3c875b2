/* What the library needs of a bundle: its sizes, its labels and one variant's graph. */
#ifndef EDGESEG_BUNDLE_H
#define EDGESEG_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define MOST_LABELS 255

typedef struct {
    int input_height, input_width;   /* of the network's input, pixels */
    int output_height, output_width; /* of the logits */
    int label_count;
    edgeseg_label labels[MOST_LABELS];
    char *names; /* the memory of the labels' names */
    char *origin; /* the graph's path, for messages */
    int float_between_qdq; /* INT8 that was made for TensorRT computes in float on a CPU */
    uint8_t *graph;
    size_t graph_bytes;
} Bundle;

/* Reads and checks a bundle's manifest and the graph of one variant.

   folder   the bundle.
   variant  its name, or NULL: the default one if it runs on a CPU, else the first that does.
   bundle   all zero; is to be freed also where this fails. */
INTERNAL edgeseg_status edgeseg_bundle_read(const char *folder, const char *variant, Bundle *bundle, Error *error);

/* Frees the graph, which is not needed once a session is open. */
INTERNAL void edgeseg_bundle_drop_graph(Bundle *bundle);

INTERNAL void edgeseg_bundle_free(Bundle *bundle);

#endif
