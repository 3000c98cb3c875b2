/* SHA-256 (FIPS 180-4). */
#ifndef EDGESEG_SHA256_H
#define EDGESEG_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define INTERNAL __attribute__((visibility("hidden")))

/* Writes the digest of `bytes` bytes as 64 lower-case hex digits and a zero. */
INTERNAL void edgeseg_sha256(const uint8_t *data, size_t bytes, char hex[65]);

#endif
