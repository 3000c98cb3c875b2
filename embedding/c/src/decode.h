/* From a frame's logits to its class map, through the kernel that edgeseg in Python decodes with. */
#ifndef EDGESEG_DECODE_H
#define EDGESEG_DECODE_H

#include <stdint.h>

#define INTERNAL __attribute__((visibility("hidden")))

/* What a decode between two sizes needs. All zero: none yet. */
typedef struct {
    int coarse_height, coarse_width, height, width;
    void *memory; /* of all that follows */
    int32_t *row_cells, *column_cells; /* [4][cells]: near, far, first, pixels */
    float *row_weight, *column_weight;
    uint8_t *best; /* [coarse_height * coarse_width] the best class of each logit's position */
} Decode;

/* Prepares a decode. Returns 0 where there is no memory; `decode` is then empty. */
INTERNAL int edgeseg_decode_prepare(Decode *decode, int coarse_height, int coarse_width, int height, int width);

/* Decodes float32 [classes, coarse_height, coarse_width] to uint8 [height, width]. Returns 0 where a logit is NaN or
   infinite; `out` is then undefined. */
INTERNAL int edgeseg_decode(const Decode *decode, const float *logits, int classes, uint8_t *out);

INTERNAL void edgeseg_decode_free(Decode *decode);

#endif
