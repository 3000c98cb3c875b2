/* A variant's graph on ONNX Runtime, with the settings that edgeseg in Python gives it. */
#ifndef EDGESEG_NETWORK_H
#define EDGESEG_NETWORK_H

#include <stdint.h>

#include "bundle.h"
#include "error.h"

typedef struct OrtApi OrtApi;
typedef struct OrtEnv OrtEnv;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtSession OrtSession;
typedef struct OrtValue OrtValue;

typedef struct {
    const OrtApi *api; /* NULL: nothing is open */
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtValue *input;  /* in `frame` */
    OrtValue *output; /* of the last run */
    uint8_t *frame;   /* [input_height, input_width, 3], what the next run reads */
    int classes, height, width; /* of the logits */
} Network;

/* Opens a session.

   library  ONNX Runtime's file, or NULL to look for it where the system keeps libraries.
   threads  for one frame; 0 for one for each core that this process may use.
   network  all zero; is to be closed also where this fails. */
INTERNAL edgeseg_status edgeseg_network_open(const Bundle *bundle, const char *library, int threads, Network *network,
                                             Error *error);

/* Runs the network on `frame`. `logits` gets float32 [classes, height, width], which are valid until the next run. */
INTERNAL edgeseg_status edgeseg_network_run(Network *network, const float **logits, Error *error);

/* Frees all. Where the process is a forked child, `own` is 0, and what ONNX Runtime has is left alone. */
INTERNAL void edgeseg_network_close(Network *network, int own);

#endif
