/* edgeseg for C: a bundle's network on ONNX Runtime, from a frame to its class map, bit for bit as edgeseg in Python.

   Needs C99 or C++. docs/c.md has a whole program, and says what is the same as in Python and what is not there.

   Threads. One thread at a time may be in a handle; a call that meets another one gets EDGESEG_BUSY and does nothing.
   Handles are independent of each other, and the library has no state outside them: any thread may open, use and close
   its own at any time. A handle may move between threads. No call may be under way, or come later, when one is closed.

   Processes. A handle belongs to the process that opened it: in a forked child it is refused, and closing it there frees
   only its memory. Signals: no call may be made in a signal handler.

   Errors. Each function returns a status; edgeseg_error() has the last call's reason in one line. Nothing is printed,
   nothing aborts, and no C++ exception leaves the library. */
#ifndef EDGESEG_H
#define EDGESEG_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EDGESEG_API __attribute__((visibility("default")))
#else
#define EDGESEG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The class of a pixel that has none. It is no label's id. */
#define EDGESEG_VOID 255

/* The greatest width and height of a frame, in pixels. */
#define EDGESEG_MOST_SIDE 65535

typedef enum edgeseg_status {
    EDGESEG_OK = 0,
    EDGESEG_INVALID_ARGUMENT = 1, /* NULL, an impossible size, a buffer that is too small, an unknown option */
    EDGESEG_BUNDLE_REFUSED = 2,   /* the bundle is missing, altered, or of a form that this version cannot reproduce */
    EDGESEG_BACKEND_FAILED = 3,   /* ONNX Runtime is missing or too old, or it failed */
    EDGESEG_NO_MEMORY = 4,
    EDGESEG_NOT_FINITE = 5, /* the network gave NaN or infinity: the class map is void, and not to be acted on */
    EDGESEG_BUSY = 6        /* another thread is in this handle; edgeseg_error() is not changed */
} edgeseg_status;

/* An open bundle, or one that could not be opened and why. */
typedef struct edgeseg_handle edgeseg_handle;

/* What may be chosen on opening. Zero and NULL mean the default. */
typedef struct edgeseg_options {
    size_t size;             /* sizeof(edgeseg_options): tells the library which fields the caller knows */
    const char *variant;     /* a variant's name; by default the bundle's own, or the first that runs on a CPU */
    const char *onnxruntime; /* file of ONNX Runtime's library, 1.17 or newer; by default libonnxruntime.so.1 */
    int32_t threads;         /* for one frame's inference; by default one for each core that may be used */
    uint32_t reserved;       /* 0 */
} edgeseg_options;

#define EDGESEG_OPTIONS_INIT {sizeof(edgeseg_options), NULL, NULL, 0, 0}

/* One class. Its id is its place among the labels. */
typedef struct edgeseg_label {
    const char *name; /* UTF-8 */
    uint8_t rgb[3];
} edgeseg_label;

/* A picture in the caller's memory, rows from the top, each pixel blue, green, red. */
typedef struct edgeseg_frame {
    const uint8_t *bgr;
    size_t bytes;          /* how many bytes may be read from bgr on */
    int32_t width, height; /* in pixels, 1 to EDGESEG_MOST_SIDE */
    size_t stride;         /* bytes from one row's start to the next; 0: 3 * width */
} edgeseg_frame;

/* Opens a bundle, checks it, and runs its network once.

   bundle   the folder's path.
   options  NULL for the defaults.
   handle   gets the handle, also where opening failed, so that edgeseg_error() can say why; NULL only without memory.
            It is closed with edgeseg_close() in any case. */
EDGESEG_API edgeseg_status edgeseg_open(const char *bundle, const edgeseg_options *options, edgeseg_handle **handle);

/* Makes the class map of a frame.

   frame          is read only during the call.
   classes        gets height rows of width bytes, the class ids, without gaps; EDGESEG_VOID throughout where the status
                  is EDGESEG_NOT_FINITE, and unchanged at any other failure.
   classes_bytes  the size of that memory, at least width * height.

   Once a frame of some size has been run, frames of that size allocate nothing but in ONNX Runtime. */
EDGESEG_API edgeseg_status edgeseg_run(edgeseg_handle *handle, const edgeseg_frame *frame, uint8_t *classes,
                                       size_t classes_bytes);

/* Gives the labels in order of their ids, until the handle is closed, and returns their number; 0 where opening failed. */
EDGESEG_API int edgeseg_labels(const edgeseg_handle *handle, const edgeseg_label **labels);

/* Why the last call of edgeseg_open() or edgeseg_run() failed: one line of UTF-8, empty if it did not. It is valid until
   the next call with this handle. For NULL it says that there was no memory for a handle. */
EDGESEG_API const char *edgeseg_error(const edgeseg_handle *handle);

/* Frees a handle and all that it gave. NULL is allowed. The handle must not be used again. */
EDGESEG_API void edgeseg_close(edgeseg_handle *handle);

/* The version of the library, such as "0.1.0". */
EDGESEG_API const char *edgeseg_version(void);

#ifdef __cplusplus
}
#endif

#endif
