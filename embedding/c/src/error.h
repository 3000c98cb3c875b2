/* The reason of a failure, as the caller reads it. */
#ifndef EDGESEG_ERROR_H
#define EDGESEG_ERROR_H

#include "edgeseg.h"

#define INTERNAL __attribute__((visibility("hidden")))

typedef struct {
    char text[1024];
} Error;

/* Writes the reason, in one line without control characters, and returns `status`. */
INTERNAL __attribute__((format(printf, 3, 4))) edgeseg_status edgeseg_fail(Error *error, edgeseg_status status,
                                                                           const char *format, ...);

INTERNAL edgeseg_status edgeseg_no_memory(Error *error);

#endif
