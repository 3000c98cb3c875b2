/* From coarse logits to the class map, in one pass over the pixels and without the interpolated tensor.

   The reference is bilinear interpolation (align_corners=False) in float32, then argmax; ties go to the lower class.
   A cell is the pixels between four neighbouring logits. Interpolation is a convex combination, so

   - where the four corners have the same best class, every pixel of the cell has it;
   - where they differ, a class that one corner's best class beats at all four corners wins no pixel of the cell.

   For the margin, best value minus second best, the second counts too: a class is out where two others beat it so.

   Every product and sum is rounded as in_numpy.py rounds it: this file is compiled with
   -ffp-contract=off, and the positions of the pixels come from the caller. */

#include "kernel.h"

#include <math.h>
#include <string.h>

/* Wider vectors where the machine has them; they round no differently. The choice is made on loading, before the thread
   sanitizer is ready for it. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#define BLOCK 2048 /* positions whose best class is sought together: their work arrays stay in the first-level cache */

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Ids __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

WIDE static int best_of_block(const Logits *l, ptrdiff_t start, int count, uint8_t *out) {
    float best[BLOCK];
    int32_t winner[BLOCK];
    uint32_t broken = 0;
    const float *plane = l->at + start * l->position_step;
    for (int i = 0; i < count; i++) {
        best[i] = plane[i * l->position_step];
        winner[i] = 0;
    }
    for (int c = 0; c < l->classes; c++, plane += l->class_step) {
        if (l->position_step == 1) {
            for (int i = 0; i < count; i++) {
                float value = plane[i];
                uint32_t bits;
                memcpy(&bits, &value, sizeof bits);
                broken |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
                winner[i] = value > best[i] ? c : winner[i];
                best[i] = value > best[i] ? value : best[i];
            }
        } else {
            for (int i = 0; i < count; i++) {
                float value = plane[i * l->position_step];
                uint32_t bits;
                memcpy(&bits, &value, sizeof bits);
                broken |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
                winner[i] = value > best[i] ? c : winner[i];
                best[i] = value > best[i] ? value : best[i];
            }
        }
    }
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)winner[i];
    return !broken;
}

int edgeseg_best_classes(const Logits *l, ptrdiff_t start, ptrdiff_t stop, uint8_t *out) {
    int finite = 1;
    for (ptrdiff_t at = start; at < stop; at += BLOCK)
        finite &= best_of_block(l, at, (int)(stop - at < BLOCK ? stop - at : BLOCK), out + at);
    return finite;
}

/* The classes that count in a cell: their values at the four corners, classes rising. */
typedef struct {
    int count;
    uint8_t *class_id; /* [classes] */
    float *corner;     /* [classes][4]: top left, top right, bottom left, bottom right */
} Contenders;

static inline void take_contender(Contenders *found, int c, const float v[4]) {
    memcpy(found->corner + 4 * found->count, v, 4 * sizeof *v);
    found->class_id[found->count++] = (uint8_t)c;
}

/* Those that can win a pixel. */
static inline void find_contenders(const Logits *l, const ptrdiff_t corner[4], const uint8_t winner[4], Contenders *found) {
    float rival[4][4]; /* of each corner's best class, the value at each corner */
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 4; j++)
            rival[k][j] = l->at[winner[k] * l->class_step + corner[j]];
    found->count = 0;
    for (int c = 0; c < l->classes; c++) {
        const float *plane = l->at + c * l->class_step;
        float v[4] = {plane[corner[0]], plane[corner[1]], plane[corner[2]], plane[corner[3]]};
        int beaten = 0;
        /* Strictly, at all four corners: a class that ties at one of them may win the pixel there. */
        for (int k = 0; k < 4; k++)
            beaten |= (rival[k][0] > v[0]) & (rival[k][1] > v[1]) & (rival[k][2] > v[2]) & (rival[k][3] > v[3]);
        if (!beaten)
            take_contender(found, c, v);
    }
}

/* Those that can be best or second best at a pixel: not those that two others beat at all four corners. The two with
   the highest sums serve as these others; whichever is lower at a corner is the bar there. */
static inline void find_best_two(const Logits *l, const ptrdiff_t corner[4], Contenders *found) {
    float high = -INFINITY, next = -INFINITY, bar[4];
    int first = 0, second = 0;
    for (int c = 0; c < l->classes; c++) {
        const float *plane = l->at + c * l->class_step;
        float sum = plane[corner[0]] + plane[corner[1]] + plane[corner[2]] + plane[corner[3]];
        if (sum > high)
            next = high, second = first, high = sum, first = c;
        else if (sum > next)
            next = sum, second = c;
    }
    for (int j = 0; j < 4; j++) {
        float v = l->at[first * l->class_step + corner[j]], w = l->at[second * l->class_step + corner[j]];
        bar[j] = v < w ? v : w;
    }
    found->count = 0;
    for (int c = 0; c < l->classes; c++) {
        const float *plane = l->at + c * l->class_step;
        float v[4] = {plane[corner[0]], plane[corner[1]], plane[corner[2]], plane[corner[3]]};
        if (!((v[0] < bar[0]) & (v[1] < bar[1]) & (v[2] < bar[2]) & (v[3] < bar[3])))
            take_contender(found, c, v);
    }
}

/* A class's values along a row of pixels of one cell: slope * weight + left. */
typedef struct {
    float left, slope;
    int32_t class_id;
} Line;

/* The lines of a cell's contenders at one row of pixels. */
static inline void lines_of(const Contenders *from, float down, Line *line) {
    for (int k = 0; k < from->count; k++) {
        const float *v = from->corner + 4 * k;
        float left = v[0] + down * (v[2] - v[0]), right = v[1] + down * (v[3] - v[1]);
        line[k] = (Line){left, right - left, from->class_id[k]};
    }
}

/* Decodes a row of cells' worth of pixels: `count` of them, in steps of LANES, so that up to LANES - 1 more are written.
   `along` has as many weights more. */
static inline void decode_span(const Line *line, int lines, const float *along, int count, uint8_t *out) {
    for (int start = 0; start < count; start += LANES) {
        Lanes weight, best;
        memcpy(&weight, along + start, sizeof weight);
        best = line[0].slope * weight + line[0].left;
        Ids winner = {0};
        winner += line[0].class_id;
        for (int k = 1; k < lines; k++) {
            Lanes value = line[k].slope * weight + line[k].left;
            Ids better = value > best; /* all bits set where it is */
            winner = (better & line[k].class_id) | (~better & winner);
            best = (Lanes)((better & (Ids)value) | (~better & (Ids)best));
        }
        Bytes narrow = __builtin_convertvector(winner, Bytes);
        memcpy(out + start, &narrow, sizeof narrow);
    }
}

/* The margins of a row of pixels of one cell. */
static inline void margin_span(const Contenders *from, float down, const float *along, int count, float *margin) {
    float best[BLOCK], second[BLOCK];
    for (int start = 0; start < count; start += BLOCK) {
        int n = count - start < BLOCK ? count - start : BLOCK;
        for (int i = 0; i < n; i++)
            best[i] = second[i] = -INFINITY;
        for (int k = 0; k < from->count; k++) {
            const float *v = from->corner + 4 * k;
            float left = v[0] + down * (v[2] - v[0]), right = v[1] + down * (v[3] - v[1]);
            float slope = right - left;
            for (int i = 0; i < n; i++) {
                float value = slope * along[start + i] + left;
                float lower = value > best[i] ? best[i] : value;
                best[i] = value > best[i] ? value : best[i];
                second[i] = lower > second[i] ? lower : second[i];
            }
        }
        for (int i = 0; i < n; i++)
            margin[start + i] = best[i] - second[i];
    }
}

/* The positions of a cell's corners among the logits: top left, top right, bottom left, bottom right. */
static inline void corners_of(const Logits *l, const Axis *rows, const Axis *columns, int y, int x, ptrdiff_t corner[4]) {
    ptrdiff_t above = (ptrdiff_t)rows->near[y] * l->width, below = (ptrdiff_t)rows->far[y] * l->width;
    corner[0] = (above + columns->near[x]) * l->position_step;
    corner[1] = (above + columns->far[x]) * l->position_step;
    corner[2] = (below + columns->near[x]) * l->position_step;
    corner[3] = (below + columns->far[x]) * l->position_step;
}

WIDE static long decode_rows(const Logits *l, const uint8_t *coarse, const Axis *rows, const Axis *columns, int from,
                             int to, uint8_t *out, ptrdiff_t width) {
    uint8_t class_id[MOST_CLASSES];
    float corner_values[4 * MOST_CLASSES];
    Contenders found = {0, class_id, corner_values};
    Line line_of[MOST_CLASSES];
    uint8_t spare[BLOCK + LANES];
    long mixed = 0;
    for (int y = from; y < to; y++) {
        int height = rows->pixels[y];
        if (!height)
            continue;
        const uint8_t *top = coarse + (ptrdiff_t)rows->near[y] * l->width;
        const uint8_t *bottom = coarse + (ptrdiff_t)rows->far[y] * l->width;
        const float *down = rows->weight + rows->first[y];
        uint8_t *line = out + (ptrdiff_t)rows->first[y] * width;
        int x = 0;
        while (x < columns->cells) {
            int near = columns->near[x], far = columns->far[x];
            uint8_t all = top[near];
            if (top[far] == all && bottom[near] == all && bottom[far] == all) {
                int start = columns->first[x], end;
                do { /* uniform cells of one class are filled in one go */
                    end = columns->first[x] + columns->pixels[x];
                    x++;
                    if (x == columns->cells)
                        break;
                    far = columns->far[x];
                } while (top[far] == all && bottom[far] == all);
                for (int i = 0; i < height; i++)
                    memset(line + i * width + start, all, (size_t)(end - start));
                continue;
            }
            int count = columns->pixels[x], start = columns->first[x];
            if (count) {
                mixed++;
                ptrdiff_t corner[4];
                corners_of(l, rows, columns, y, x, corner);
                uint8_t winner[4] = {top[near], top[far], bottom[near], bottom[far]};
                find_contenders(l, corner, winner, &found);
                /* What is written beyond the cell is overwritten by the next one; beyond the row nothing may be. */
                int fits = start + count + LANES <= width;
                for (int i = 0; i < height; i++) {
                    lines_of(&found, down[i], line_of);
                    uint8_t *row = line + i * width + start;
                    for (int done = 0; done < count && !fits; done += BLOCK) {
                        int n = count - done < BLOCK ? count - done : BLOCK;
                        decode_span(line_of, found.count, columns->weight + start + done, n, spare);
                        memcpy(row + done, spare, (size_t)n);
                    }
                    if (fits)
                        decode_span(line_of, found.count, columns->weight + start, count, row);
                }
            }
            x++;
        }
    }
    return mixed;
}

WIDE static long margin_rows(const Logits *l, const Axis *rows, const Axis *columns, int from, int to, float *margin,
                             ptrdiff_t width) {
    uint8_t class_id[MOST_CLASSES];
    float corner_values[4 * MOST_CLASSES];
    Contenders found = {0, class_id, corner_values};
    long interpolated = 0;
    for (int y = from; y < to; y++) {
        if (!rows->pixels[y])
            continue;
        const float *down = rows->weight + rows->first[y];
        float *line = margin + (ptrdiff_t)rows->first[y] * width;
        for (int x = 0; x < columns->cells; x++) {
            int count = columns->pixels[x], start = columns->first[x];
            if (!count)
                continue;
            interpolated++;
            ptrdiff_t corner[4];
            corners_of(l, rows, columns, y, x, corner);
            find_best_two(l, corner, &found);
            for (int i = 0; i < rows->pixels[y]; i++)
                margin_span(&found, down[i], columns->weight + start, count, line + i * width + start);
        }
    }
    return interpolated;
}

long edgeseg_decode_rows(const Logits *l, const uint8_t *coarse, const Axis *rows, const Axis *columns, int from, int to,
                         uint8_t *out, ptrdiff_t width) {
    return decode_rows(l, coarse, rows, columns, from, to, out, width);
}

long edgeseg_margin_rows(const Logits *l, const Axis *rows, const Axis *columns, int from, int to, float *margin,
                         ptrdiff_t width) {
    return margin_rows(l, rows, columns, from, to, margin, width);
}
