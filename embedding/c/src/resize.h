/* A frame at the network's size, as OpenCV's INTER_LINEAR makes it of bytes. */
#ifndef EDGESEG_RESIZE_H
#define EDGESEG_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#define INTERNAL __attribute__((visibility("hidden")))

/* What a resize between two sizes needs. All zero: none yet. */
typedef struct {
    int from_height, from_width, to_height, to_width;
    int roomy; /* of the first so many pixels, both neighbours have a byte behind them that may be read too */
    void *memory; /* of all that follows */
    int32_t *left, *right; /* [to_width] the bytes of the two pixels that each pixel lies between, from the row's start */
    int32_t *above, *below; /* [to_height] the two rows */
    int16_t *left_weight, *right_weight;   /* [to_width * 3] */
    int16_t *above_weight, *below_weight;  /* [to_height] */
    int16_t *row[2];                       /* [to_width * 3] two rows that are resized horizontally */
    uint8_t *left_value, *right_value;     /* [to_width * 3 + 1] the neighbours of a row's values */
} Resize;

/* Prepares a resize. Returns 0 where there is no memory; `resize` is then empty. */
INTERNAL int edgeseg_resize_prepare(Resize *resize, int from_height, int from_width, int to_height, int to_width);

/* Resizes uint8 [from_height, from_width, 3], whose rows are `stride` bytes apart, to [to_height, to_width, 3]. */
INTERNAL void edgeseg_resize(const Resize *resize, const uint8_t *from, size_t stride, uint8_t *to);

INTERNAL void edgeseg_resize_free(Resize *resize);

#endif
