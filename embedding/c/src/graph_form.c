#include "graph_form.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, NOTHING };

#define TAG_BITS 32
#define VALUE_BITS 64
#define MOST_FIELDS (1 << 20)
#define GRAPH_OF_MODEL 7
#define DOMAIN_OF_NODE 7
#define DATA_LOCATION_OF_TENSOR 14

#define ELSEWHERE "keeps tensors in other files, which its SHA-256 does not cover; save the graph with its weights inside"
#define OWN_GRAPH "has a loop or a branch, and how long such a graph runs is not known; export it without"
#define NOT_OURS(what) "has " what ", which edgeseg's graphs do not have; export the bundle again"
#define SPARSE NOT_OURS("sparse tensors")

/* A field of a message of onnx.proto. `child` is the message that is checked within it. */
typedef struct {
    uint8_t number, wire, repeated, child;
    const char *refused; /* what a graph with this field has, where none may have it */
} Field;

#define NUMBER(n) {n, VARINT, 0, NOTHING, NULL}
#define DATA(n) {n, BYTES, 0, NOTHING, NULL}
#define MANY(n) {n, BYTES, 1, NOTHING, NULL}
#define WALKED(n, child) {n, BYTES, 1, child, NULL}
#define WALKED_ONCE(n, child) {n, BYTES, 0, child, NULL}
#define REFUSED(n, what) {n, BYTES, 1, NOTHING, what}
#define NUMBERS(n, wire) {n, wire, 1, NOTHING, NULL}
#define END {0, 0, 0, 0, NULL}

static const struct {
    const char *name;
    Field fields[24];
} MESSAGES[] = {
    [MODEL] = {"model",
               {NUMBER(1), NUMBER(5), DATA(2), DATA(3), DATA(4), DATA(6), MANY(8), MANY(14), MANY(26),
                WALKED_ONCE(7, GRAPH), REFUSED(20, NOT_OURS("training information")), REFUSED(25, NOT_OURS("functions")),
                END}},
    [GRAPH] = {"graph",
               {DATA(2), DATA(10), MANY(11), MANY(12), MANY(13), MANY(14), MANY(16), WALKED(1, NODE), WALKED(5, TENSOR),
                REFUSED(15, SPARSE), END}},
    [NODE] = {"node",
              {DATA(3), DATA(4), DATA(6), DATA(7), DATA(8), MANY(1), MANY(2), MANY(9), MANY(10), WALKED(5, ATTRIBUTE),
               END}},
    [ATTRIBUTE] = {"attribute", {NUMBER(3), NUMBER(20), DATA(1), DATA(4), DATA(13), DATA(14), DATA(21), MANY(9), MANY(15),
                                 {2, FIXED32, 0, NOTHING, NULL}, WALKED_ONCE(5, TENSOR), REFUSED(6, OWN_GRAPH),
                                 NUMBERS(7, FIXED32), NUMBERS(8, VARINT), WALKED(10, TENSOR), REFUSED(11, OWN_GRAPH),
                                 REFUSED(22, SPARSE), REFUSED(23, SPARSE), END}},
    [TENSOR] = {"tensor",
                {NUMBER(2), DATA(3), DATA(8), DATA(9), DATA(12), MANY(6), MANY(16), NUMBERS(1, VARINT),
                 NUMBERS(4, FIXED32), NUMBERS(5, VARINT), NUMBERS(7, VARINT), NUMBERS(10, FIXED64), NUMBERS(11, VARINT),
                 REFUSED(13, ELSEWHERE), {DATA_LOCATION_OF_TENSOR, VARINT, 0, NOTHING, ELSEWHERE}, END}},
};

typedef struct {
    const uint8_t *data;
    const char *origin;
    Error *error;
    long fields_left;
} Walk;

static edgeseg_status no_graph(Walk *walk, const char *why) {
    return edgeseg_fail(walk->error, EDGESEG_BUNDLE_REFUSED, "%s is no ONNX graph (%s); export the bundle again",
                        walk->origin, why);
}

/* Reads a number and goes behind it. It must not have too many bits or a byte that adds nothing. Returns whether it is
   one. */
static int read_varint(const Walk *walk, size_t *at, size_t end, int most_bits, uint64_t *value) {
    *value = 0;
    for (int shift = 0; *at < end && shift <= most_bits; shift += 7) {
        uint8_t byte = walk->data[(*at)++];
        if (shift == 63 && byte > 1)
            return 0;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return !(most_bits < 64 && *value >> most_bits) && (byte || !shift);
    }
    return 0;
}

static const Field *find_field(int kind, uint64_t number) {
    for (const Field *field = MESSAGES[kind].fields; field->number; field++)
        if (field->number == number)
            return field;
    return NULL;
}

static int own_domain(const uint8_t *name, size_t bytes) {
    return !bytes || (bytes == 7 && !memcmp(name, "ai.onnx", 7));
}

/* Checks a message and those within, which are at most four deep. */
static edgeseg_status check_message(Walk *walk, int kind, size_t at, size_t end) {
    uint32_t seen = 0;
    while (at < end) {
        uint64_t tag, value = 0, length = 0;
        if (--walk->fields_left < 0)
            return no_graph(walk, "it has far too many fields");
        if (!read_varint(walk, &at, end, TAG_BITS, &tag))
            return no_graph(walk, "a number is not written as numbers are");
        int wire = (int)(tag & 7);
        if (wire == VARINT || wire == BYTES) {
            if (!read_varint(walk, &at, end, wire == VARINT ? VALUE_BITS : TAG_BITS, wire == VARINT ? &value : &length))
                return no_graph(walk, "a number is not written as numbers are");
        } else if (wire == FIXED32 || wire == FIXED64) {
            length = wire == FIXED32 ? 4 : 8;
        } else {
            return no_graph(walk, "a field is of no known type");
        }
        if (length > end - at)
            return no_graph(walk, "a field runs past its message");
        const Field *field = find_field(kind, tag >> 3);
        if (!field)
            return no_graph(walk, "it has a field that ONNX has not");
        int packed = wire == BYTES && field->repeated && field->wire != BYTES; /* one field with many numbers */
        if (wire != field->wire && !packed)
            return no_graph(walk, "a field is of another type");
        if (!field->repeated && seen >> field->number & 1)
            return no_graph(walk, "a field comes twice");
        seen |= (uint32_t)1 << field->number;
        int inside = kind == TENSOR && field->number == DATA_LOCATION_OF_TENSOR && value == 0;
        if (field->refused && !inside)
            return edgeseg_fail(walk->error, EDGESEG_BUNDLE_REFUSED, "%s %s", walk->origin, field->refused);
        if (kind == NODE && field->number == DOMAIN_OF_NODE && !own_domain(walk->data + at, (size_t)length))
            return edgeseg_fail(walk->error, EDGESEG_BUNDLE_REFUSED,
                                "%s " NOT_OURS("operators of another domain than ONNX's"), walk->origin);
        if (field->child != NOTHING) {
            edgeseg_status status = check_message(walk, field->child, at, at + (size_t)length);
            if (status)
                return status;
        }
        at += (size_t)length;
    }
    if (kind == MODEL && !(seen >> GRAPH_OF_MODEL & 1))
        return no_graph(walk, "it holds no graph");
    return EDGESEG_OK;
}

edgeseg_status edgeseg_check_graph(const uint8_t *graph, size_t bytes, const char *origin, Error *error) {
    Walk walk = {graph, origin, error, MOST_FIELDS};
    return check_message(&walk, MODEL, 0, bytes);
}
