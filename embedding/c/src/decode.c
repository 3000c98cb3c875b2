/* The axes that the kernel reads, as runtime/decode/in_numpy.py's axis_of makes them: float32, in the same steps.

   Compiled with -ffp-contract=off, as the kernel is. */

#include "decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../runtime/decode/kernel.h"

/* Writes the cells between `coarse` logits for `fine` pixels. */
static void make_axis(int coarse, int fine, int32_t *cells, float *weight) {
    int count = coarse + 1;
    int32_t *near = cells, *far = near + count, *first = far + count, *pixels = first + count;
    for (int i = 0; i < count; i++) {
        near[i] = i ? i - 1 : 0;
        far[i] = i < coarse ? i : coarse - 1;
        pixels[i] = 0;
    }
    float scale = (float)coarse / (float)fine;
    for (int i = 0; i < fine; i++) {
        float position = scale * ((float)i + 0.5f);
        position -= 0.5f;
        float before = floorf(position);
        int cell = (int)before + 1;
        pixels[cell < 0 ? 0 : cell < coarse ? cell : coarse]++;
        weight[i] = position - before;
    }
    memset(weight + fine, 0, LANES * sizeof *weight);
    for (int i = 0, start = 0; i < count; start += pixels[i], i++)
        first[i] = start;
}

static Axis axis_of(int coarse, const int32_t *cells, const float *weight) {
    int count = coarse + 1;
    return (Axis){cells, cells + count, cells + 2 * count, cells + 3 * count, weight, count};
}

int edgeseg_decode_prepare(Decode *decode, int coarse_height, int coarse_width, int height, int width) {
    if (decode->memory && decode->coarse_height == coarse_height && decode->coarse_width == coarse_width &&
        decode->height == height && decode->width == width)
        return 1;
    edgeseg_decode_free(decode);
    size_t row_cells = 4 * ((size_t)coarse_height + 1), column_cells = 4 * ((size_t)coarse_width + 1);
    size_t row_weights = (size_t)height + LANES, column_weights = (size_t)width + LANES;
    size_t positions = (size_t)coarse_height * (size_t)coarse_width;
    int32_t *memory = malloc(4 * (row_cells + column_cells + row_weights + column_weights) + positions);
    if (!memory)
        return 0;
    float *weights = (float *)(memory + row_cells + column_cells);
    *decode = (Decode){
        .coarse_height = coarse_height,
        .coarse_width = coarse_width,
        .height = height,
        .width = width,
        .memory = memory,
        .row_cells = memory,
        .column_cells = memory + row_cells,
        .row_weight = weights,
        .column_weight = weights + row_weights,
        .best = (uint8_t *)(weights + row_weights + column_weights),
    };
    make_axis(coarse_height, height, decode->row_cells, decode->row_weight);
    make_axis(coarse_width, width, decode->column_cells, decode->column_weight);
    return 1;
}

void edgeseg_decode_free(Decode *decode) {
    free(decode->memory);
    *decode = (Decode){0};
}

int edgeseg_decode(const Decode *decode, const float *logits, int classes, uint8_t *out) {
    ptrdiff_t positions = (ptrdiff_t)decode->coarse_height * decode->coarse_width;
    Logits l = {logits, classes, decode->coarse_height, decode->coarse_width, positions, 1};
    int same = decode->coarse_height == decode->height && decode->coarse_width == decode->width;
    uint8_t *best = same ? out : decode->best;
    if (!edgeseg_best_classes(&l, 0, positions, best))
        return 0;
    if (!same) {
        Axis rows = axis_of(decode->coarse_height, decode->row_cells, decode->row_weight);
        Axis columns = axis_of(decode->coarse_width, decode->column_cells, decode->column_weight);
        edgeseg_decode_rows(&l, best, &rows, &columns, 0, rows.cells, out, decode->width);
    }
    return 1;
}
