/* Refuses an ONNX graph with more than operators and their numbers, before any library reads it.

   The rules are those of runtime/backends/graph_form.py, which has the reasons. */
#ifndef EDGESEG_GRAPH_FORM_H
#define EDGESEG_GRAPH_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Checks all bytes of an ONNX file; `origin` is the file, for the message. */
INTERNAL edgeseg_status edgeseg_check_graph(const uint8_t *graph, size_t bytes, const char *origin, Error *error);

#endif
