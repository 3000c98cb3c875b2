/* Bilinear resize of bytes, bit for bit as OpenCV's cv::resize with INTER_LINEAR (4.8 to 5.0 were compared).

   A weight is a multiple of 1/2048. Horizontally, a value is the exact sum of two products. Vertically, each of the two
   loses its low bits on its own: the value's last 4, the product's last 16, and the sum's last 2, which is rounded to
   nearest. The weights' positions are computed in double and kept in float. Two sizes are exceptions: the same one is a
   copy, and where both sides are halved, a pixel is the mean of four, rounded up from the half.

   Compiled with -ffp-contract=off: a weight that is rounded once less may be another one. */

#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ONE 2048

/* Finds the two neighbours of each of `to` places along an axis of `from`, and their weights. A place has so many
   `values`, which have the same weight.

   Where a place lies beyond the outermost one, both neighbours are that one. `on_edge` puts the place onto it, as OpenCV
   does horizontally. Vertically the weights stay, so that each side loses its own low bits. */
static void find_neighbours(int from, int to, int on_edge, int values, int32_t *near, int32_t *far, int16_t *near_weight,
                            int16_t *far_weight) {
    double scale = 1.0 / ((double)to / from);
    for (int i = 0; i < to; i++) {
        float position = (float)((i + 0.5) * scale - 0.5);
        int before = (int)floorf(position);
        float part = position - (float)before;
        if (on_edge && (before < 0 || before >= from - 1))
            part = 0;
        int first = before < 0 ? 0 : before < from ? before : from - 1;
        int second = before + 1 < 0 ? 0 : before + 1 < from ? before + 1 : from - 1;
        near[i] = first * values;
        far[i] = second * values;
        for (int c = 0; c < values; c++) {
            *near_weight++ = (int16_t)lrintf((1.0f - part) * ONE);
            *far_weight++ = (int16_t)lrintf(part * ONE);
        }
    }
}

int edgeseg_resize_prepare(Resize *resize, int from_height, int from_width, int to_height, int to_width) {
    if (resize->memory && resize->from_height == from_height && resize->from_width == from_width &&
        resize->to_height == to_height && resize->to_width == to_width)
        return 1;
    edgeseg_resize_free(resize);
    size_t height = (size_t)to_height, width = (size_t)to_width, values = 3 * width;
    int32_t *places = malloc(2 * (height + width) * sizeof(int32_t) + 2 * (2 * values + height) * sizeof(int16_t) +
                             2 * (values + 1));
    if (!places)
        return 0;
    int16_t *weights = (int16_t *)(places + 2 * (height + width)), *rows = weights + 2 * (values + height);
    uint8_t *bytes = (uint8_t *)(rows + 2 * values);
    *resize = (Resize){
        .from_height = from_height,
        .from_width = from_width,
        .to_height = to_height,
        .to_width = to_width,
        .memory = places,
        .left = places,
        .right = places + width,
        .above = places + 2 * width,
        .below = places + 2 * width + height,
        .left_weight = weights,
        .right_weight = weights + values,
        .above_weight = weights + 2 * values,
        .below_weight = weights + 2 * values + height,
        .row = {rows, rows + values},
        .left_value = bytes,
        .right_value = bytes + values + 1,
    };
    find_neighbours(from_width, to_width, 1, 3, resize->left, resize->right, resize->left_weight, resize->right_weight);
    find_neighbours(from_height, to_height, 0, 1, resize->above, resize->below, resize->above_weight,
                    resize->below_weight);
    while (resize->roomy < to_width && resize->right[resize->roomy] + 4 <= 3 * from_width)
        resize->roomy++; /* the right one is never the one before */
    return 1;
}

void edgeseg_resize_free(Resize *resize) {
    free(resize->memory);
    *resize = (Resize){0};
}

/* Copies the pixels at `places` next to each other. Four bytes are copied faster than three. */
static void gather(const uint8_t *from, const int32_t *places, int roomy, int count, uint8_t *to) {
    int x = 0;
    for (; x < roomy; x++, to += 3)
        memcpy(to, from + places[x], 4);
    for (; x < count; x++, to += 3)
        memcpy(to, from + places[x], 3);
}

/* Mixes the neighbours of a row's values. A value of at most 255 * 2048 fits 16 bits once its last 4 are lost. */
static void mix_columns(const uint8_t *restrict left, const uint8_t *restrict right, const int16_t *restrict a,
                        const int16_t *restrict b, int values, int16_t *restrict to) {
    for (int i = 0; i < values; i++)
        to[i] = (int16_t)((left[i] * (int32_t)a[i] + right[i] * (int32_t)b[i]) >> 4);
}

static void resize_row(const Resize *resize, const uint8_t *from, int16_t *to) {
    gather(from, resize->left, resize->roomy, resize->to_width, resize->left_value);
    gather(from, resize->right, resize->roomy, resize->to_width, resize->right_value);
    mix_columns(resize->left_value, resize->right_value, resize->left_weight, resize->right_weight, resize->to_width * 3, to);
}

static void mix_rows(const int16_t *restrict above, const int16_t *restrict below, int16_t a, int16_t b, int values,
                     uint8_t *restrict to) {
    for (int i = 0; i < values; i++) {
        int16_t high = (int16_t)(((int32_t)above[i] * a) >> 16), low = (int16_t)(((int32_t)below[i] * b) >> 16);
        to[i] = (uint8_t)((high + low + 2) >> 2);
    }
}

static void halve(const Resize *resize, const uint8_t *from, size_t stride, uint8_t *to) {
    for (int y = 0; y < resize->to_height; y++, from += 2 * stride) {
        const uint8_t *above = from, *below = from + stride;
        for (int x = 0; x < resize->to_width; x++, to += 3, above += 6, below += 6)
            for (int c = 0; c < 3; c++)
                to[c] = (uint8_t)((above[c] + above[c + 3] + below[c] + below[c + 3] + 2) >> 2);
    }
}

void edgeseg_resize(const Resize *resize, const uint8_t *from, size_t stride, uint8_t *to) {
    int height = resize->to_height, values = resize->to_width * 3;
    if (resize->from_height == height && resize->from_width == resize->to_width) {
        for (int y = 0; y < height; y++)
            memcpy(to + (size_t)y * (size_t)values, from + (size_t)y * stride, (size_t)values);
        return;
    }
    if (resize->from_height == 2 * height && resize->from_width == 2 * resize->to_width) {
        halve(resize, from, stride, to);
        return;
    }
    int32_t held[2] = {-1, -1}; /* the frame's rows that resize->row has */
    for (int y = 0; y < height; y++, to += values) {
        int32_t wanted[2] = {resize->above[y], resize->below[y]};
        int16_t *row[2];
        for (int i = 0; i < 2; i++) {
            int place = held[0] == wanted[i] ? 0 : held[1] == wanted[i] ? 1 : -1;
            if (place < 0) {
                place = held[0] == wanted[0] ? 1 : 0; /* not that of the other row, which is needed too */
                resize_row(resize, from + (size_t)wanted[i] * stride, resize->row[place]);
                held[place] = wanted[i];
            }
            row[i] = resize->row[place];
        }
        mix_rows(row[0], row[1], resize->above_weight[y], resize->below_weight[y], values, to);
    }
}
