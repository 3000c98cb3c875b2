/* The parts of the C library that need no ONNX Runtime, for the tests: a request on the standard input, an answer on the
   standard output, until there is no more input. A request is one letter, its length as uint32, and so many bytes. They
   are copied into memory of exactly that size, so that the address sanitizer sees one byte too many.

     j  a text of JSON            1 if it is JSON, else 0
     g  the bytes of a graph      an answer of text: empty, or why it is refused
     h  any bytes                 their SHA-256 as 64 digits
     b  a folder, 0, a variant    an answer of text: sizes, graph and labels, or why the bundle is refused
     r  int32 height, width, stride, to_height, to_width, pixels
                                  the resized pixels
     d  int32 classes, height, width, to_height, to_width, logits
                                  1 and the class map, or 0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "decode.h"
#include "graph_form.h"
#include "json.h"
#include "resize.h"
#include "sha256.h"

static void say(const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    fwrite(&length, 4, 1, stdout);
    fwrite(text, 1, length, stdout);
}

static void do_json(const uint8_t *data, size_t bytes) {
    Json value;
    size_t where;
    char text[4096];
    const char *wrong = edgeseg_json_check((const char *)data, bytes, &value, &where);
    fputc(!wrong, stdout);
    JsonWalk walk;
    if (!wrong && (edgeseg_json_walk(value, '{', &walk) || edgeseg_json_walk(value, '[', &walk)))
        while (edgeseg_json_next(&walk)) { /* whatever it holds, it can be read */
            edgeseg_json_string(walk.key, text, sizeof text);
            edgeseg_json_string(walk.value, text, 5);
            edgeseg_json_integer(walk.value, 1000);
        }
}

static void do_bundle(const char *folder) {
    const char *variant = folder + strlen(folder) + 1; /* both end with a zero */
    Bundle bundle = {0};
    Error error = {""};
    char text[65536];
    if (edgeseg_bundle_read(folder, *variant ? variant : NULL, &bundle, &error)) {
        snprintf(text, sizeof text, "refused: %s", error.text);
    } else {
        int at = snprintf(text, sizeof text, "%d %d %d %d %d %zu", bundle.input_height, bundle.input_width,
                          bundle.output_height, bundle.output_width, bundle.float_between_qdq, bundle.graph_bytes);
        for (int i = 0; i < bundle.label_count; i++) {
            const edgeseg_label *label = &bundle.labels[i];
            at += snprintf(text + at, sizeof text - (size_t)at, "\n%d %d %d %s", label->rgb[0], label->rgb[1], label->rgb[2],
                           label->name);
        }
    }
    edgeseg_bundle_free(&bundle);
    say(text);
}

static void do_resize(const uint8_t *data) {
    int32_t size[5];
    memcpy(size, data, sizeof size);
    static Resize resize; /* kept from one request to the next, as the library keeps it */
    if (!edgeseg_resize_prepare(&resize, size[0], size[1], size[3], size[4]))
        abort();
    size_t bytes = (size_t)size[3] * (size_t)size[4] * 3, used = (size_t)size[2] * (size_t)(size[0] - 1) + 3 * (size_t)size[1];
    uint8_t *from = malloc(used), *to = malloc(bytes);
    memcpy(from, data + sizeof size, used);
    edgeseg_resize(&resize, from, (size_t)size[2], to);
    fwrite(to, 1, bytes, stdout);
    free(from);
    free(to);
}

static void do_decode(const uint8_t *data, size_t bytes) {
    int32_t size[5];
    memcpy(size, data, sizeof size);
    static Decode decode;
    if (!edgeseg_decode_prepare(&decode, size[1], size[2], size[3], size[4]))
        abort();
    size_t pixels = (size_t)size[3] * (size_t)size[4];
    float *logits = malloc(bytes - sizeof size);
    uint8_t *classes = malloc(pixels);
    memcpy(logits, data + sizeof size, bytes - sizeof size);
    int finite = edgeseg_decode(&decode, logits, size[0], classes);
    fputc(finite, stdout);
    if (finite)
        fwrite(classes, 1, pixels, stdout);
    free(logits);
    free(classes);
}

int main(void) {
    int kind;
    while ((kind = getchar()) != EOF) {
        uint32_t bytes;
        if (fread(&bytes, 4, 1, stdin) != 1)
            return 2;
        uint8_t *data = malloc(bytes ? bytes : 1);
        if (fread(data, 1, bytes, stdin) != bytes)
            return 2;
        Error error = {""};
        char hex[65];
        switch (kind) {
        case 'j':
            do_json(data, bytes);
            break;
        case 'g':
            edgeseg_check_graph(data, bytes, "the graph", &error);
            say(error.text);
            break;
        case 'h':
            edgeseg_sha256(data, bytes, hex);
            fwrite(hex, 1, 64, stdout);
            break;
        case 'b':
            do_bundle((const char *)data);
            break;
        case 'r':
            do_resize(data);
            break;
        case 'd':
            do_decode(data, bytes);
            break;
        default:
            return 2;
        }
        free(data);
        fflush(stdout);
    }
    return 0;
}
