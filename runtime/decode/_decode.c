/* From coarse logits to the class map, in one pass over the pixels and without the interpolated tensor.

   The reference is bilinear interpolation (align_corners=False) in float32, then argmax; ties go to the lower class.
   A cell is the pixels between four neighbouring logits. Interpolation is a convex combination, so

   - where the four corners have the same best class, every pixel of the cell has it;
   - where they differ, a class that one corner's best class beats at all four corners wins no pixel of the cell.

   For the margin, best value minus second best, the second counts too: a class is out where two others beat it so.

   Every product and sum is rounded as decode_numpy.py rounds it: this file is compiled with
   -ffp-contract=off, and the positions of the pixels come from there. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Wider vectors where the machine has them; they round no differently. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#define MOST_CLASSES 255
#define LANES 8 /* pixels that are decoded at once */

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Ids __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

#define BLOCK 2048 /* positions whose best class is sought together: their work arrays stay in the first-level cache */

/* How the pixels along one axis fall into cells: decode_numpy.py's Axis, as int32. */
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

/* The best class of `count` positions from `start` on. Returns whether all their logits are finite. */
WIDE static int best_classes(const Logits *l, ptrdiff_t start, int count, uint8_t *out) {
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

/* Decodes the rows of cells from `from` to `to`. `coarse` has the best class of each position. Returns the number of
   cells that were interpolated. */
WIDE static long decode_rows(const Logits *l, const uint8_t *coarse, const Axis *rows, const Axis *columns, int from, int to,
                        uint8_t *out, ptrdiff_t width) {
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
                    uint8_t *to = line + i * width + start;
                    for (int done = 0; done < count && !fits; done += BLOCK) {
                        int n = count - done < BLOCK ? count - done : BLOCK;
                        decode_span(line_of, found.count, columns->weight + start + done, n, spare);
                        memcpy(to + done, spare, (size_t)n);
                    }
                    if (fits)
                        decode_span(line_of, found.count, columns->weight + start, count, to);
                }
            }
            x++;
        }
    }
    return mixed;
}

/* The margins of the rows of cells from `from` to `to`. Returns their number, for every one is interpolated. */
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

static int reaches(const Py_buffer *buffer, size_t item, ptrdiff_t last) {
    return last >= 0 && (size_t)buffer->len >= item * ((size_t)last + 1);
}

PyDoc_STRVAR(best_doc, "best(logits, classes, start, stop, class_step, position_step, out, /)\n--\n\n"
                       "Writes the best class of the positions from start to stop into out, uint8.\n\n"
                       "Returns whether all their logits are finite.");

static PyObject *best(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer logits, out;
    int classes;
    Py_ssize_t start, stop, class_step, position_step;
    if (!PyArg_ParseTuple(args, "y*innnnw*", &logits, &classes, &start, &stop, &class_step, &position_step, &out))
        return NULL;
    int finite = 1;
    int fits = classes >= 1 && classes <= MOST_CLASSES && start >= 0 && start <= stop && class_step >= 0 &&
               position_step >= 1 &&
               (start == stop || (reaches(&logits, 4, (classes - 1) * class_step + (stop - 1) * position_step) &&
                                  reaches(&out, 1, stop - 1)));
    if (fits) {
        Logits l = {logits.buf, classes, 0, 0, class_step, position_step};
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = start; at < stop; at += BLOCK)
            finite &= best_classes(&l, at, (int)(stop - at < BLOCK ? stop - at : BLOCK), (uint8_t *)out.buf + at);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_SetString(PyExc_ValueError, "the arrays are smaller than the sizes given");
    }
    PyBuffer_Release(&logits);
    PyBuffer_Release(&out);
    return fits ? PyBool_FromLong(finite) : NULL;
}

/* An axis from a buffer of int32 [4, cells] (near, far, first, pixels) and one of float32 [fine + LANES]. Returns the number of
   pixels, or -1 where the two do not fit. */
static ptrdiff_t read_axis(const Py_buffer *cells, const Py_buffer *weight, int coarse, Axis *axis) {
    axis->cells = (int)(cells->len / 16);
    axis->near = cells->buf;
    axis->far = axis->near + axis->cells;
    axis->first = axis->far + axis->cells;
    axis->pixels = axis->first + axis->cells;
    axis->weight = weight->buf;
    ptrdiff_t fine = 0;
    for (int i = 0; i < axis->cells; i++) {
        int inside = axis->near[i] >= 0 && axis->near[i] < coarse && axis->far[i] >= 0 && axis->far[i] < coarse;
        if (!inside || axis->first[i] != fine || axis->pixels[i] < 0)
            return -1;
        fine += axis->pixels[i];
    }
    return (size_t)weight->len == (size_t)(fine + LANES) * 4 ? fine : -1;
}

PyDoc_STRVAR(cells_doc,
             "cells(logits, classes, height, width, class_step, position_step, coarse, row_cells, row_weight, "
             "column_cells, column_weight, start, stop, out, /)\n--\n\n"
             "Decodes the rows of cells from start to stop into out, uint8 [H, W]. Where coarse, the best class of each\n"
             "position, is None, out is float32 [H, W] and gets the margins.\n\n"
             "Returns the number of cells that were interpolated.");

static PyObject *cells(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer logits, coarse, row_cells, row_weight, column_cells, column_weight, out;
    int classes, height, width, start, stop;
    Py_ssize_t class_step, position_step;
    if (!PyArg_ParseTuple(args, "y*iiinnz*y*y*y*y*iiw*", &logits, &classes, &height, &width, &class_step, &position_step,
                          &coarse, &row_cells, &row_weight, &column_cells, &column_weight, &start, &stop, &out))
        return NULL;
    Axis rows, columns;
    ptrdiff_t positions = (ptrdiff_t)height * width;
    ptrdiff_t high = read_axis(&row_cells, &row_weight, height, &rows);
    ptrdiff_t wide = read_axis(&column_cells, &column_weight, width, &columns);
    int margins = coarse.buf == NULL;
    int fits = classes >= 1 && classes <= MOST_CLASSES && height >= 1 && width >= 1 && high >= 1 && wide >= 1 &&
               start >= 0 && start <= stop && stop <= rows.cells && class_step >= 0 && position_step >= 1 &&
               reaches(&logits, 4, (classes - 1) * class_step + (positions - 1) * position_step) &&
               (margins || reaches(&coarse, 1, positions - 1)) && reaches(&out, margins ? 4 : 1, high * wide - 1);
    for (ptrdiff_t i = 0; fits && !margins && i < positions; i++)
        fits = ((const uint8_t *)coarse.buf)[i] < classes;
    long interpolated = 0;
    if (fits) {
        Logits l = {logits.buf, classes, height, width, class_step, position_step};
        Py_BEGIN_ALLOW_THREADS
        interpolated = margins ? margin_rows(&l, &rows, &columns, start, stop, out.buf, wide)
                               : decode_rows(&l, coarse.buf, &rows, &columns, start, stop, out.buf, wide);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit the sizes given");
    }
    PyBuffer_Release(&logits);
    PyBuffer_Release(&coarse);
    PyBuffer_Release(&row_cells);
    PyBuffer_Release(&row_weight);
    PyBuffer_Release(&column_cells);
    PyBuffer_Release(&column_weight);
    PyBuffer_Release(&out);
    return fits ? PyLong_FromLong(interpolated) : NULL;
}

static PyMethodDef methods[] = {
    {"best", best, METH_VARARGS, best_doc},
    {"cells", cells, METH_VARARGS, cells_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_decode", "The compiled form of edgeseg.runtime.decode.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__decode(void) { return PyModule_Create(&definition); }
