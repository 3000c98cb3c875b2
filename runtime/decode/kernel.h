/* The decode's kernel: what the Python module (_decode.c) and the C library (embedding/c) share. It knows of neither. */

#ifndef EDGESEG_DECODE_KERNEL_H
#define EDGESEG_DECODE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define MOST_CLASSES 255
#define LANES 8 /* pixels that are decoded at once: weights are padded by so many */

/* How the pixels along one axis fall into cells: in_numpy.py's Axis, as int32. */
typedef struct {
    const int32_t *near, *far, *first, *pixels; /* [cells] */
    const float *weight;                        /* [fine + LANES]; the last are not looked at */
    int cells;
} Axis;

/* Logits of one frame: value of class c at position p is at[c * class_step + p * position_step]. */
typedef struct {
    const float *at;
    int classes, height, width;
    ptrdiff_t class_step, position_step;
} Logits;

#if defined(__GNUC__)
#define INTERNAL __attribute__((visibility("hidden")))
#else
#define INTERNAL
#endif

/* Writes the best class of the positions from `start` to `stop` into out[start] to out[stop - 1]; ties go to the lower
   class. Returns whether all their logits are finite. */
INTERNAL int edgeseg_best_classes(const Logits *l, ptrdiff_t start, ptrdiff_t stop, uint8_t *out);

/* Decodes the rows of cells from `from` to `to` into `out`, `width` pixels a row. `coarse` has the best class of each
   position. Returns the number of cells that were interpolated. */
INTERNAL long edgeseg_decode_rows(const Logits *l, const uint8_t *coarse, const Axis *rows, const Axis *columns, int from,
                                  int to, uint8_t *out, ptrdiff_t width);

/* The margins of the rows of cells from `from` to `to`. Returns their number, for every one is interpolated. */
INTERNAL long edgeseg_margin_rows(const Logits *l, const Axis *rows, const Axis *columns, int from, int to, float *margin,
                                  ptrdiff_t width);

#endif
