/* Reads a bundle's own files. The bytes that were checked are the bytes that are used. */
#ifndef EDGESEG_FILES_H
#define EDGESEG_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Reads a file whole, into memory that the caller frees. Refuses links, pipes, devices, folders, and files of more than
   `most_bytes`.

   path     the file.
   missing  what is said behind the path where there is no such file. */
INTERNAL edgeseg_status edgeseg_read_file(const char *path, size_t most_bytes, const char *missing, uint8_t **data,
                                          size_t *bytes, Error *error);

#endif
