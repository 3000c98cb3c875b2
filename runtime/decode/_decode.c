/* The decode's kernel as a Python module. Each call checks that the arrays hold what the kernel will read and write. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

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
        finite = edgeseg_best_classes(&l, start, stop, out.buf);
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
        interpolated = margins ? edgeseg_margin_rows(&l, &rows, &columns, start, stop, out.buf, wide)
                               : edgeseg_decode_rows(&l, coarse.buf, &rows, &columns, start, stop, out.buf, wide);
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
